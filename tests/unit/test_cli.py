# SPDX-License-Identifier: Apache-2.0
"""Every command of `tiara`, against a fake server: what it asks for and exactly what it prints."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from cli_fake import World, serving
from click.testing import CliRunner, Result
from google.protobuf import json_format
from ruamel.yaml import YAML
from tiara import client, packed
from tiara.cli import values, version
from tiara.cli.main import cli
from tiara.v1 import backend_pool_pb2, connection_pb2, node_pb2, virtual_service_pb2

Tiara = Callable[..., Result]

PLAIN_COLUMNS = 80


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fake server with nothing in it."""
    with serving(tmp_path / "api.sock") as world:
        yield world


@pytest.fixture
def tiara(tmp_path: Path, world: World) -> Tiara:
    """Runs a command line against the fake."""

    def run(line: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", *line.split()], stdin)

    return run


@pytest.fixture
def filled(tiara: Tiara, world: World) -> World:
    """Two pools, four backends, two services, some of them in trouble."""
    for line in (
        "pool create web --mode l2 --check-tcp 80 --interval 500ms",
        "pool create far --mode vxlan --vni 7 --fail-open",
        "backend create web/b1 --address 198.18.0.11",
        "backend create web/b2 --address 198.18.0.12",
        "backend create web/b3 --address 198.18.0.13",
        "backend create far/x1 --address 198.18.0.21 --port 8080 --weight 5",
        "service create web --frontend tcp:198.18.100.1:80 --frontend tcp:198.18.100.1:443 --pool web",
        "service create dns --frontend udp:198.18.100.2:53 --pool far --timeout-udp 90s",
        "backend drain web/b2",
    ):
        assert tiara(line).exit_code == 0, line
    status = world.backends["backendPools/web/backends/b3"].status
    status.health = backend_pool_pb2.HEALTH_STATE_DOWN
    status.reason = "connect: refused"
    world.requests.clear()
    return world


def golden(text: str) -> str:
    """The expected output, written with the indentation of the test."""
    return dedent(text).lstrip("\n")


def connection(client_port: int, **fields: object) -> connection_pb2.Connection:
    """A connection of the web service as the table shows it."""
    made = connection_pb2.Connection(
        protocol=virtual_service_pb2.PROTOCOL_TCP,
        client_address="198.18.0.7",
        client_port=client_port,
        address="198.18.100.1",
        port=443,
        virtual_service="virtualServices/web",
        backend="backendPools/web/backends/b1",
        state=connection_pb2.CONNECTION_STATE_ESTABLISHED,
        forwarding="l2",
    )
    made.idle.FromSeconds(1)
    made.expires.FromSeconds(1799)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


# Writes


def test_pool_create_sends_what_was_asked(tiara: Tiara, world: World) -> None:
    """Every option of a pool arrives in its field."""
    result = tiara(
        "pool create far --mode vxlan --vni 7 --vxlan-port 4790 --inner-mac 02:00:00:00:00:01"
        " --check-tcp 80 --interval 5s --timeout 250ms --rise 4 --fall 5 --rows 4093 --fail-open"
        " --policy rendezvous --source-affinity --slow-start 1m30s"
    )
    assert result.stdout == "pool far created (revision 1, applied as generation 1)\n"
    expected = backend_pool_pb2.BackendPool(
        forwarding_mode=backend_pool_pb2.FORWARDING_MODE_VXLAN,
        vxlan=backend_pool_pb2.VxlanOptions(vni=7, port=4790, inner_mac="02:00:00:00:00:01"),
        policy=backend_pool_pb2.SELECTION_POLICY_RENDEZVOUS,
        source_affinity=True,
        selection_rows=4093,
        fail_open=True,
        health_check=backend_pool_pb2.HealthCheck(tcp=backend_pool_pb2.TcpCheck(port=80), rise=4, fall=5),
    )
    expected.slow_start.duration.FromSeconds(90)
    expected.health_check.interval.FromSeconds(5)
    expected.health_check.timeout.FromMilliseconds(250)
    sent = world.requests[0]
    for server_set in ("name", "uid", "etag", "create_time", "revision"):
        sent.backend_pool.ClearField(server_set)
    assert (sent.backend_pool_id, sent.backend_pool) == ("far", expected)


def test_pool_create_http_check(tiara: Tiara, world: World) -> None:
    """The options of an HTTP check arrive in their fields, and are shown again."""
    tiara("pool create plain --mode l2 --check-http 8080")
    tiara(
        "pool create web --mode l2 --check-https 443/up?full=1 --check-host www.example.org"
        " --check-status 200-299,401 --check-verify"
    )
    plain, web = (world.pools[f"backendPools/{name}"].health_check.http for name in ("plain", "web"))
    assert plain == backend_pool_pb2.HttpCheck(port=8080)
    assert web == backend_pool_pb2.HttpCheck(
        port=443,
        path="/up?full=1",
        host="www.example.org",
        expected_statuses=[
            backend_pool_pb2.StatusRange(first=200, last=299),
            backend_pool_pb2.StatusRange(first=401, last=401),
        ],
        tls=True,
        verify=True,
    )
    assert "https 443/up?full=1 host www.example.org verified expects 200-299, 401 every 2s" in (
        " ".join(tiara("pool get web").stdout.split())
    )
    assert "http 8080/ expects 200-399 every 2s" in " ".join(tiara("pool get plain").stdout.split())
    assert "https 443" in tiara("pool list").stdout


def test_backend_create_tells_weight_0_from_no_weight(tiara: Tiara, world: World) -> None:
    """Weight 0 drains; an unset weight is the server's 1."""
    tiara("pool create web --mode l2")
    tiara("backend create web/b1 --address 198.18.0.11 --weight 0")
    tiara("backend create web/b2 --address 198.18.0.12")
    first, second = (world.backends[f"backendPools/web/backends/{name}"] for name in ("b1", "b2"))
    assert (first.HasField("weight"), first.weight) == (True, 0)
    assert not second.HasField("weight")


def test_service_create_sends_frontends_and_timeouts(tiara: Tiara, world: World) -> None:
    """Frontends keep their order; only given timeouts are set."""
    tiara("pool create web --mode l2")
    result = tiara(
        "service create web --frontend tcp:198.18.100.1:80 --frontend udp:198.18.100.1:443"
        " --pool web --timeout-established 1h30m"
    )
    assert result.stdout == "service web created (revision 2, applied as generation 2)\n"
    sent = world.services["virtualServices/web"]
    assert [values.frontend(f) for f in sent.frontends] == ["tcp 198.18.100.1:80", "udp 198.18.100.1:443"]
    assert sent.timeouts.tcp_established.seconds == 5400
    assert not sent.timeouts.HasField("udp")
    assert sent.backend_pool == "backendPools/web"


@pytest.mark.parametrize(
    ("options", "deadline_s", "message"),
    [
        ("", None, "draining"),
        ("--deadline 30s", 30, "draining, deadline 30s"),
        ("--now", 0, "drained at once"),
    ],
)
def test_drain(tiara: Tiara, filled: World, options: str, deadline_s: int | None, message: str) -> None:
    """No deadline, a deadline and "now" are three different requests."""
    result = tiara(f"backend drain web/b1 {options}")
    assert result.stdout == f"backend web/b1 {message} (revision 10, applied as generation 10)\n"
    sent = filled.requests[0]
    assert sent.HasField("deadline") == (deadline_s is not None)
    assert sent.deadline.seconds == (deadline_s or 0)


def test_undrain(tiara: Tiara, filled: World) -> None:
    """A drain ends."""
    result = tiara("backend undrain web/b2")
    assert result.stdout == "backend web/b2 undrained (revision 10, applied as generation 10)\n"


def test_deletes_wait_for_the_newest_revision(tiara: Tiara, filled: World) -> None:
    """A delete has no revision of its own: revision 0 asks for the newest."""
    lines = [
        tiara(line).stdout
        for line in ("service delete web", "backend delete web/b1", "pool delete web --force")
    ]
    assert lines == [
        "service web deleted (revision 10, applied as generation 10)\n",
        "backend web/b1 deleted (revision 11, applied as generation 11)\n",
        "pool web deleted (revision 12, applied as generation 12)\n",
    ]
    waits = [r for r in filled.requests if isinstance(r, node_pb2.WaitAppliedRequest)]
    assert [w.revision for w in waits] == [0, 0, 0]
    assert list(filled.services) == ["virtualServices/dns"]
    assert list(filled.backends) == ["backendPools/far/backends/x1"]


def test_a_write_waits_for_its_own_revision(tiara: Tiara, world: World) -> None:
    """WaitApplied is asked for the revision that the write returned."""
    tiara("pool create web --mode l2 --wait-timeout 3s")
    wait = world.requests[-1]
    assert (wait.revision, wait.timeout.seconds) == (1, 3)


def test_no_wait(tiara: Tiara, filled: World) -> None:
    """--no-wait returns after the store's answer, and says so."""
    created = tiara("backend create web/b4 --address 198.18.0.14 --no-wait")
    deleted = tiara("backend delete web/b4 --no-wait")
    assert created.stdout == "backend web/b4 created (revision 10, not waited for)\n"
    assert deleted.stdout == "backend web/b4 deleted (not waited for)\n"
    assert not any(isinstance(r, node_pb2.WaitAppliedRequest) for r in filled.requests)


def test_a_write_as_json_prints_the_resource(tiara: Tiara, filled: World) -> None:
    """-o json of a write is what the server answered; of a delete, what it waited for."""
    created = json.loads(tiara("backend create web/b4 --address 198.18.0.14 -o json").stdout)
    assert (created["name"], created["revision"]) == ("backendPools/web/backends/b4", "10")
    deleted = json.loads(tiara("backend delete web/b4 -o json").stdout)
    assert deleted == {"appliedRevision": "11", "generation": "11"}
    assert json.loads(tiara("backend delete web/b1 -o json --no-wait").stdout) == {}


# Tables


def test_pool_tables(tiara: Tiara, filled: World) -> None:
    """Pools with how many backends they have and how many are down."""
    assert tiara("pool list").stdout == golden("""
        Pool  Mode   Policy  Rows  Check   Backends  Down
        far   vxlan  maglev  auto  -              1     0
        web   l2     maglev  auto  tcp 80         3     1
        """)
    assert tiara("pool get far").stdout == golden("""
        Pool             far
        Mode             vxlan
        Tunnel           vni 7 port 4789 to 02:54:49:41:52:41
        Policy           maglev
        Source affinity  no
        Rows             auto
        Health check     none: every backend counts as up
        Fail open        yes
        Created          2026-01-02T03:04:05Z
        Revision         2
        Uid              00000000000000000000000000000002
        Etag             e2
        """)
    check = tiara("pool get web").stdout.splitlines()[5]
    assert check == "Health check     tcp 80 every 500ms, failed after 1s, up after 2, down after 3"


def test_policies_are_shown(tiara: Tiara, world: World) -> None:
    """Each policy by its short name, with what goes with it; a backend that ramps says how far it is."""
    tiara("pool create web --mode l2 --policy wrr --source-affinity --slow-start 90s")
    shown = tiara("pool get web").stdout.splitlines()
    assert [line.split("  ")[0] + ": " + line.split()[-1] for line in shown[2:5]] == [
        "Policy: wrr",
        "Source affinity: yes",
        "Slow start: 1m30s",
    ]
    tiara("backend create web/b1 --address 198.18.0.11")
    world.backends["backendPools/web/backends/b1"].status.ramp_percent = 30
    assert "ramping 30 %" in tiara("backend list web").stdout


def test_pool_wide_table(tiara: Tiara, filled: World) -> None:
    """-o wide adds columns on the right."""
    lines = tiara("pool list -o wide").stdout.splitlines()
    assert lines[0] == (
        "Pool  Mode   Policy  Rows  Check   Backends  Down  Affinity  Slow start  Fail open"
        "  Tunnel                                Revision  Created               Uid"
    )
    assert lines[1] == (
        "far   vxlan  maglev  auto  -              1     0  no        -           yes        "
        "vni 7 port 4789 to 02:54:49:41:52:41  "
        "       2  2026-01-02T03:04:05Z  00000000000000000000000000000002"
    )


def test_backend_tables(tiara: Tiara, filled: World) -> None:
    """Backends of one pool or of all, with health, its reason, and drains."""
    assert tiara("backend list").stdout == golden("""
        Backend  Address           Weight  Health  State     Reason
        far/x1   198.18.0.21:8080       5  -       active
        web/b1   198.18.0.11            1  up      active
        web/b2   198.18.0.12            1  up      draining
        web/b3   198.18.0.13            1  down    active    connect: refused
        """)
    assert tiara("backend list far").stdout == golden("""
        Backend  Address           Weight  Health  State   Reason
        far/x1   198.18.0.21:8080       5  -       active
        """)
    assert tiara("backend get web/b3").stdout == golden("""
        Backend   web/b3
        Address   198.18.0.13
        Port      the frontend's
        Weight    1
        Max live  no limit
        Health    down
        Reason    connect: refused
        State     active
        Created   2026-01-02T03:04:05Z
        Revision  5
        Uid       00000000000000000000000000000005
        Etag      e5
        """)


def test_the_state_of_a_drain(tiara: Tiara, filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain with a deadline shows what is left of it; one that has passed shows drained."""
    monkeypatch.setattr(values, "now", lambda: datetime(2026, 1, 2, 3, 4, 7, tzinfo=UTC))
    status = filled.backends["backendPools/web/backends/b2"].status
    status.drain_deadline.FromJsonString("2026-01-02T03:04:35Z")
    assert "draining 28s" in tiara("backend list web").stdout
    status.drained = True
    assert "drained" in tiara("backend list web").stdout


def test_service_tables(tiara: Tiara, filled: World) -> None:
    """A line for each frontend."""
    assert tiara("service list").stdout == golden("""
        Prot  Address:Port      Service  Pool
        udp   198.18.100.2:53   dns      far
        tcp   198.18.100.1:80   web      web
        tcp   198.18.100.1:443  web      web
        """)
    assert tiara("service get dns").stdout == golden("""
        Service              dns
        Frontend             udp 198.18.100.2:53
        Pool                 far
        Sources              everybody
        New per second       no limit
        Timeout new          1m
        Timeout established  30m
        Timeout closing      1m
        Timeout udp          1m30s
        Created              2026-01-02T03:04:05Z
        Revision             8
        Uid                  00000000000000000000000000000008
        Etag                 e8
        """)


def test_service_list_wide_is_a_tree(tiara: Tiara, filled: World) -> None:
    """As ipvsadm: frontends, and under them their backends with live connections."""
    filled.statistics.backends.add(backend="backendPools/web/backends/b1", connections=1137, wanted_share=1.0)
    assert tiara("service list -o wide").stdout == golden("""
        Prot  Address:Port      Service  Pool  Policy  Sources  New/s
          -> Backend  Address           Forward  Weight  Health  State      Live  Max     Want
        udp   198.18.100.2:53   dns      far   maglev  all          -
          -> far/x1   198.18.0.21:8080  vxlan         5  -       active        -    -        -
        tcp   198.18.100.1:80   web      web   maglev  all          -
        tcp   198.18.100.1:443  web      web   maglev  all          -
          -> web/b1   198.18.0.11       l2            1  up      active    1,137    -  100.0 %
          -> web/b2   198.18.0.12       l2            1  up      draining      -    -        -
          -> web/b3   198.18.0.13       l2            1  down    active        -    -        -
        """)


def test_connection_tables(tiara: Tiara, world: World) -> None:
    """One line for each connection, no more than the limit, over several pages."""
    world.connections += [connection(40000 + i) for i in range(5)]
    assert tiara("connection list --limit 3").stdout == golden("""
        Prot  Client            VIP               Backend  State        Idle
        tcp   198.18.0.7:40000  198.18.100.1:443  web/b1   established    1s
        tcp   198.18.0.7:40001  198.18.100.1:443  web/b1   established    1s
        tcp   198.18.0.7:40002  198.18.100.1:443  web/b1   established    1s
        """)
    assert len(tiara("connection list --limit 0").stdout.splitlines()) == 6
    wide = tiara("connection list -o wide --limit 1").stdout.splitlines()
    assert wide == [
        "Prot  Client            VIP               Backend  State        Idle"
        "  Expires  Service  Forward  Pushed  Tier",
        "tcp   198.18.0.7:40000  198.18.100.1:443  web/b1   established    1s"
        "   29m59s  web      l2       no      cpu",
    ]


def test_connection_list_filters(tiara: Tiara, world: World) -> None:
    """Filters travel as the API's names."""
    tiara("connection list --service web --backend web/b1")
    sent = world.requests[0]
    assert (sent.virtual_service, sent.backend) == ("virtualServices/web", "backendPools/web/backends/b1")


def test_connection_list_watch(tiara: Tiara, world: World) -> None:
    """A line for each that comes, differs or goes; the count at the end of a pass that had any."""
    say = connection_pb2.WatchConnectionsResponse
    world.passes = [
        say(added=[connection(40000), connection(40001)], complete=True),
        say(complete=True),
        say(changed=[connection(40001, backend="backendPools/web/backends/b2")]),
        say(gone=[connection(40000)], complete=True),
    ]
    result = tiara("connections list --service web --state udp --watch")
    assert result.stdout == golden("""
        + tcp 198.18.0.7:40000 198.18.100.1:443 web/b1 established
        + tcp 198.18.0.7:40001 198.18.100.1:443 web/b1 established
        = 2 connections
        ~ tcp 198.18.0.7:40001 198.18.100.1:443 web/b2 established
        - tcp 198.18.0.7:40000 198.18.100.1:443 web/b1 established
        = 1 connection
        """)
    assert (result.exit_code, "narrow the filter" in result.stderr) == (1, True)
    assert world.requests[0].virtual_service == "virtualServices/web"
    assert world.requests[0].state == connection_pb2.CONNECTION_STATE_UDP


def test_connection_list_watch_for_programs(tiara: Tiara, world: World) -> None:
    """A message a line; an empty first pass says that there is none."""
    say = connection_pb2.WatchConnectionsResponse
    world.passes = [say(complete=True), say(complete=True), say(added=[connection(40000)], complete=True)]
    lines = [json.loads(line) for line in tiara("connections list --watch -o json").stdout.splitlines()]
    assert [(line["complete"], len(line["added"])) for line in lines] == [(True, 0), (True, 1)]


def test_connection_get(tiara: Tiara, world: World) -> None:
    """One connection is one sentence; that its backend was removed, a push, a card: it says so."""
    world.connections += [connection(40000), connection(40001, backend=""), connection(40002, pushed=True)]
    world.connections.append(connection(40003, offloaded=True))
    lines = [
        tiara(f"connection get tcp 198.18.0.7:{port} 198.18.100.1:443").stdout
        for port in (40000, 40001, 40002, 40003)
    ]
    head = "connection tcp 198.18.0.7:"
    assert lines == [
        f"{head}40000 -> web b1 by l2, established, seen 1 s ago\n",
        f"{head}40001 -> web a removed backend by l2, established, seen 1 s ago\n",
        f"{head}40002 -> web b1 by l2, established, not seen yet\n",
        f"{head}40003 -> web b1 by l2, established, in the card\n",
    ]
    sent = world.requests[0]
    assert (sent.protocol, sent.address, sent.port) == (1, "198.18.100.1", 443)


def test_node(tiara: Tiara, world: World) -> None:
    """The node's daemons, segment and revisions."""
    world.node.MergeFrom(
        node_pb2.Node(
            name="nodes/lb1",
            version="0.1.0",
            dataplane_version="0.1.0",
            dataplane_live=True,
            dataplane_starts=2,
            layout_id="5f1c0ffee",
            page_bytes=2 << 20,
            segment_bytes=300 << 20,
            workers_online=2,
            workers_awake=1,
            stored_revision=12,
            applied_revision=11,
            generation=9,
            generations_waiting=1,
            not_applied_reason="worker 0 is stopped",
            address="198.18.0.2",
            quarantined_backends=3,
        )
    )
    world.node.first_forward.FromMilliseconds(412)
    assert tiara("node").stdout == golden("""
        Node           lb1
        Address        198.18.0.2
        Control plane  0.1.0
        Data plane     0.1.0, running, starts 2, first packet 412ms after start
        Workers        2, 1 awake
        Revision       12 stored, 11 applied: worker 0 is stopped
        Generation     9, 1 older kept for a worker
        Segment        300.0 MiB in pages of 2.0 MiB
        Layout id      5f1c0ffee
        In quarantine  0 services, 3 backends
        """)


def fill_statistics(world: World) -> None:
    """What a small demo counts."""
    found = world.statistics
    for name, number in (("forwarded", 231020), ("no_service", 12), ("too_big", 0)):
        found.verdicts[name] = number
    for name, number in (("connection_new", 3412), ("backend_removed", 1), ("swept_expired", 22)):
        found.events[name] = number
    found.rx_packets, found.rx_bytes, found.tx_packets, found.tx_bytes = 231032, 14800000, 231020, 14799000
    found.connections, found.connection_capacity, found.differ_from_selection = 3412, 65536, 187
    found.services.add(
        virtual_service="virtualServices/web",
        frontend="tcp 198.18.100.1:80",
        packets=231020,
        bytes=14700000,
        connections_total=3500,
        connections=3412,
    )
    for name, live in (("b1", 1140), ("b2", 2272)):
        found.backends.add(
            backend=f"backendPools/web/backends/{name}",
            packets=77000,
            bytes=4900000,
            connections_total=1170,
            connections=live,
            wanted_share=1 / 3,
        )
    found.workers.add(worker=0, generation=17, bursts=99999, busy_share=0.034)


def test_stats(tiara: Tiara, world: World) -> None:
    """Counters, largest first; what was not counted is not shown as zero."""
    fill_statistics(world)
    assert tiara("stats").stdout == golden("""
        packets   received 231,032 (14.1 MiB)  sent 231,020 (14.1 MiB)
        table     room for 65,536 (--count counts the live ones)
        verdicts  forwarded 231,020  no_service 12
        events    connection_new 3,412  swept_expired 22  backend_removed 1

        Service  Frontend             Packets     Bytes    New
        web      tcp 198.18.100.1:80  231,020  14.0 MiB  3,500

        Backend  Packets    Bytes    New    Want
        web/b1    77,000  4.7 MiB  1,170  33.3 %
        web/b2    77,000  4.7 MiB  1,170  33.3 %
        """)
    assert not world.requests[0].count_connections


def test_stats_count_wide(tiara: Tiara, world: World) -> None:
    """--count adds live connections and each backend's share of its pool; wide adds workers."""
    fill_statistics(world)
    assert tiara("stats --count -o wide").stdout == golden("""
        packets   received 231,032 (14.1 MiB)  sent 231,020 (14.1 MiB)
        table     3,412 of 65,536  187 differ from the selection table
        verdicts  forwarded 231,020  no_service 12
        events    connection_new 3,412  swept_expired 22  backend_removed 1

        Service  Frontend             Packets     Bytes    New   Live
        web      tcp 198.18.100.1:80  231,020  14.0 MiB  3,500  3,412

        Backend  Packets    Bytes    New    Want   Live   Share
        web/b1    77,000  4.7 MiB  1,170  33.3 %  1,140  33.4 %
        web/b2    77,000  4.7 MiB  1,170  33.3 %  2,272  66.6 %

        Worker  Generation  Bursts   Busy
        0               17  99,999  3.4 %
        """)
    assert world.requests[0].count_connections


def test_stats_tell_tiers(tiara: Tiara, world: World) -> None:
    """Where a card forwards: how many packets each did, and how many connections it has."""
    world.statistics.verdicts.update({"forwarded": 1200, "forwarded_by_card": 23000})
    assert "\ntiers     card 23,000 packets  cpu 1,200 packets\n" in tiara("stats").stdout
    world.statistics.offloaded_connections = 987
    assert "  987 connections in the card\n" in tiara("stats --count").stdout


def test_many_counters_go_on_in_the_next_line(tiara: Tiara, world: World) -> None:
    """Counters never make a line longer than 80 columns."""
    for i in range(12):
        world.statistics.verdicts[f"some_long_verdict_{i:02}"] = 1000 - i
    lines = tiara("stats").stdout.splitlines()
    assert max(map(len, lines)) <= PLAIN_COLUMNS
    assert lines[3].startswith(" " * 10 + "some_long_verdict_")


def test_plain_tables_fit_80_columns(tiara: Tiara, filled: World) -> None:
    """With ordinary names, and the longest addresses and numbers that occur."""
    fill_statistics(filled)
    filled.statistics.backends[0].packets = filled.statistics.services[0].packets = 9_999_999_999
    long = connection(65535, client_address="198.18.200.100", address="198.18.100.200", port=65535)
    filled.connections.append(long)
    filled.backends["backendPools/web/backends/b3"].address = "198.18.200.100"
    for line in (
        "pool list",
        "backend list",
        "service list",
        "connection list",
        "stats --count",
        "node",
        "connection get tcp 198.18.200.100:65535 198.18.100.200:65535",
        "--help",
        "pool create --help",
    ):
        result = tiara(line)
        assert result.exit_code == 0, result.output
        assert max(map(len, result.stdout.splitlines())) <= PLAIN_COLUMNS, result.stdout


def test_version(tiara: Tiara, world: World) -> None:
    """Versions of all three programs, and the layout id; a server that is away is no error."""
    world.node.version, world.node.dataplane_version = "0.1.0", "0.1.1"
    world.node.layout_id = "00000000000000ff"
    lines = tiara("version").stdout.splitlines()
    assert lines[1:] == ["control plane  0.1.0", "data plane     0.1.1", "layout id      00000000000000ff"]
    away = CliRunner().invoke(cli, ["--server", "unix:/nowhere/api.sock", "version"])
    assert (away.exit_code, away.stdout.splitlines()[1]) == (
        0,
        "control plane  not reached at unix:/nowhere/api.sock",
    )


@pytest.mark.parametrize(
    ("server", "dataplane", "warned"),
    [
        ("0.1.0", "0.1.9", []),
        ("0.1.0", "", []),
        ("0.2.0", "0.1.0", ["control plane"]),
        ("1.1.0", "0.10.0", ["control plane", "data plane"]),
    ],
)
def test_version_warns_of_skew(
    tiara: Tiara,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    dataplane: str,
    warned: list[str],
) -> None:
    """All have one minor version; of others it says which, on stderr."""
    monkeypatch.setattr(version, "client_version", lambda: "0.1.0")
    world.node.version, world.node.dataplane_version = server, dataplane
    result = tiara("version")
    assert result.exit_code == 0
    assert [line.split(" is ")[0] for line in result.stderr.splitlines()] == [
        f"tiara: the {w}" for w in warned
    ]


# JSON and YAML

READS = (
    "pool get web",
    "pool list",
    "backend get web/b1",
    "backend list",
    "service get web",
    "service list",
    "connection list",
    "connection get tcp 198.18.0.7:40000 198.18.100.1:443",
    "stats",
    "node",
)


@pytest.mark.parametrize("line", READS)
def test_json_and_yaml_say_the_same(tiara: Tiara, filled: World, line: str) -> None:
    """Every read has both forms, of one message."""
    filled.connections.append(connection(40000))
    fill_statistics(filled)
    as_json = json.loads(tiara(f"{line} -o json").stdout)
    as_yaml = YAML(typ="safe", pure=True).load(tiara(f"{line} -o yaml").stdout)
    assert as_json == json.loads(json.dumps(as_yaml))
    assert as_json


def test_json_is_proto_json_with_zeros(tiara: Tiara, filled: World) -> None:
    """camelCase names, 64-bit numbers as text, zeros present, fields in the API's order."""
    found = json.loads(tiara("backend list web -o json").stdout)
    assert list(found) == ["backends", "nextPageToken"]
    third = found["backends"][2]
    assert list(third)[:4] == ["name", "uid", "address", "port"]
    assert (third["port"], third["revision"], third["createTime"]) == (0, "5", "2026-01-02T03:04:05Z")
    assert third["status"] == {
        "health": "HEALTH_STATE_DOWN",
        "draining": False,
        "drained": False,
        "reason": "connect: refused",
        "disabled": False,
        "rampPercent": 0,
    }
    parsed = json_format.Parse(json.dumps(found), backend_pool_pb2.ListBackendsResponse())
    assert parsed.backends[2].address == "198.18.0.13"


# Push


def pushed_header(world: World) -> connection_pb2.PackedHeader:
    """The header of the first push."""
    sent = next(r for r in world.requests if isinstance(r, connection_pb2.PushConnectionsRequest))
    return sent.header


def test_push_reads_lines(tiara: Tiara, filled: World) -> None:
    """A line for each connection, comments and empty lines between, 16 bytes for each."""
    result = tiara(
        "connection push --service web --backend web/b1 --frontend tcp:198.18.100.1:443 --idle 5s -",
        "198.18.0.7:40000\n# held by the demo\n\n198.18.0.7:40001 # last\n",
    )
    assert result.stdout == "2 of 2 connections pinned to web/b1\n", result.output
    assert filled.pushed.hex(" ", 4) == (
        "c6120007 9c400000 00000000 00050300 c6120007 9c410000 00000000 00050300"
    )
    header = pushed_header(filled)
    assert (header.format, header.record_bytes, header.on_conflict) == (
        1,
        16,
        connection_pb2.ON_CONFLICT_KEEP,
    )
    assert [values.frontend(s.frontend) for s in header.services] == ["tcp 198.18.100.1:443"]
    assert [b.backend for b in header.backends] == ["backendPools/web/backends/b1"]


def test_push_of_a_service_with_one_frontend(tiara: Tiara, filled: World, tmp_path: Path) -> None:
    """Its frontend needs no naming, and UDP has its own state."""
    file = tmp_path / "clients"
    file.write_text("198.18.0.7:5353\n")
    result = tiara(f"connection push --service dns --backend far/x1 --on-conflict replace {file}")
    assert result.exit_code == 0, result.output
    assert filled.pushed[14] == 5
    header = pushed_header(filled)
    assert header.on_conflict == connection_pb2.ON_CONFLICT_REPLACE


def test_push_names_what_was_refused(tiara: Tiara, filled: World) -> None:
    """Refused records are named by their client; the others are in. The program fails."""
    filled.push_refusals = {1: connection_pb2.PUSH_REFUSAL_REASON_CONFLICT}
    result = tiara(
        "connection push --service dns --backend far/x1 -", "198.18.0.7:1\n198.18.0.7:2\n198.18.0.7:3\n"
    )
    assert (result.exit_code, result.stdout) == (1, "2 of 3 connections pinned to far/x1\n")
    assert result.stderr == golden("""
        tiara: 1 of 3 were not taken:
          198.18.0.7:2: it is there with another backend (--on-conflict replace)
        """)


def test_push_as_json(tiara: Tiara, filled: World) -> None:
    """Scripts get the counts and positions."""
    filled.push_refusals = {0: connection_pb2.PUSH_REFUSAL_REASON_FULL}
    result = tiara("connection push --service dns --backend far/x1 -o json -", "198.18.0.7:1\n198.18.0.7:2\n")
    assert json.loads(result.stdout) == {
        "sequence": "1",
        "accepted": "1",
        "refusals": [{"index": 0, "reason": "PUSH_REFUSAL_REASON_FULL"}],
    }


@pytest.mark.parametrize(
    ("line", "stdin", "message"),
    [
        (
            "connection push --service web --backend web/b1 -",
            "198.18.0.7:1\n",
            "Error: web has several frontends: give --frontend, one of"
            " tcp:198.18.100.1:80, tcp:198.18.100.1:443",
        ),
        (
            "connection push --service dns --backend far/x1 -",
            "198.18.0.7:1\n198.18.0.7\n",
            "Error: <stdin>, line 2: '198.18.0.7' is not ADDRESS:PORT, as 198.18.0.7:40000;"
            " nothing was pushed",
        ),
    ],
)
def test_push_pushes_nothing_of_bad_input(
    tiara: Tiara, filled: World, line: str, stdin: str, message: str
) -> None:
    """A bad line or a missing frontend is found before the first record is sent."""
    result = tiara(line, stdin)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, message)
    assert filled.pushed == b""


# Dump and load


def record(client_port: int, service: int = 0, backend: int = 0, idle_s: int = 0) -> bytes:
    """Of an established connection."""
    return struct.pack("!IHHIHBB", 0xC6120007, client_port, service, backend, idle_s, 3, 0)


def fill_dump(world: World, *records: bytes, **trailer: Any) -> None:
    """Two chunks: services web (two frontends) and gone, backends b1, b9 (gone) and far/x1."""
    header = connection_pb2.PackedHeader(format=1, record_bytes=16)
    for name, frontend in (
        ("web", "tcp:198.18.100.1:443"),
        ("web", "tcp:198.18.100.1:444"),
        ("gone", "tcp:198.18.100.9:1"),
    ):
        header.services.add(
            virtual_service=f"virtualServices/{name}", uid="u", frontend=client.parse_frontend(frontend)
        )
    for name in ("web/backends/b1", "web/backends/b9", "far/backends/x1", "none/backends/b1"):
        header.backends.add(backend=f"backendPools/{name}", uid="u")
    parts: list[dict[str, Any]] = [{"header": header}]
    for sequence, records_of in enumerate(records, 1):
        parts.append({"chunk": connection_pb2.PackedChunk(sequence=sequence, records=records_of)})
    count = sum(map(len, records)) // 16
    trailer = {"complete": True, "passes": 1, **trailer}
    parts.append({"trailer": connection_pb2.PackedTrailer(records=count, chunks=len(records), **trailer)})
    world.dump = [connection_pb2.DumpConnectionsResponse(**part) for part in parts]


def test_dump_and_load(tiara: Tiara, filled: World, tmp_path: Path) -> None:
    """What was dumped is pushed by name, without uids; `connection` and `connections` are one."""
    file = tmp_path / "table"
    fill_dump(filled, record(1) + record(2), record(3))
    result = tiara(f"connections dump {file}")
    assert (result.exit_code, result.stdout) == (0, f"3 connections dumped to {file}\n"), result.output
    assert [path.name for path in tmp_path.iterdir() if "table" in path.name] == ["table"]
    result = tiara(f"connection load --on-conflict replace {file}")
    assert (result.exit_code, result.stdout) == (0, f"3 of 3 connections loaded from {file}\n"), result.output
    assert filled.pushed == record(1) + record(2) + record(3)
    header = pushed_header(filled)
    assert header.on_conflict == connection_pb2.ON_CONFLICT_REPLACE
    assert (header.services[0].virtual_service, header.services[0].uid) == ("virtualServices/web", "")
    assert (header.backends[0].backend, header.backends[0].uid) == ("backendPools/web/backends/b1", "")


def test_load_names_what_it_leaves_out(tiara: Tiara, filled: World, tmp_path: Path) -> None:
    """Missing services, frontends and backends are named with counts; the rest is loaded. It fails."""
    file = tmp_path / "table"
    fill_dump(
        filled,
        record(1) + record(2, service=2) + record(3, service=1),
        record(4, backend=1) + record(5, backend=1) + record(6, backend=2) + record(7, backend=3),
        record(8, idle_s=1800) + record(9, idle_s=1799),
    )
    assert tiara(f"connections dump {file}").exit_code == 0
    filled.push_refusals = {1: connection_pb2.PUSH_REFUSAL_REASON_FULL}
    result = tiara(f"connections load {file}")
    assert filled.pushed == record(1) + record(9, idle_s=1799)
    assert (result.exit_code, result.stdout) == (1, f"0 of 9 connections loaded from {file}\n")
    assert result.stderr == golden("""
        tiara: not all connections were loaded
          1 left out: backendPools/far/backends/x1 is not in the pool of virtualServices/web
          1 left out: backendPools/none/backends/b1 is not there
          2 left out: backendPools/web/backends/b9 is not there
          1 left out: idle for longer than virtualServices/web allows
          1 left out: virtualServices/gone is not there
          1 left out: virtualServices/web has no frontend tcp 198.18.100.1:444
          2 not taken: there was no room in the table
        """)


def test_dump_and_load_as_json(tiara: Tiara, filled: World, tmp_path: Path) -> None:
    """Programs get the counts; a dump that is not whole is written, and both programs fail."""
    file = tmp_path / "table"
    fill_dump(filled, record(1) + record(2, service=2), complete=False, problem="moved too fast", passes=8)
    result = tiara(f"connections dump --json {file}")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "file": str(file),
        "records": 2,
        "bytes": file.stat().st_size,
        "passes": 8,
        "complete": False,
    }
    assert "tiara: the dump is not complete: moved too fast\n" in result.stderr
    result = tiara(f"connections load --json {file}")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "file": str(file),
        "records": 2,
        "accepted": 1,
        "refused": {},
        "leftOut": {"virtualServices/gone is not there": 1},
        "complete": False,
    }
    assert "the dump itself was not complete" in result.stderr


def test_dump_and_load_by_pipe(tiara: Tiara, filled: World, tmp_path: Path) -> None:
    """- is stdout and stdin; the summary does not mix with the bytes."""
    fill_dump(filled, record(1))
    result = tiara("connections dump -")
    assert result.exit_code == 0
    assert result.stderr == "1 connections dumped to -\n"
    *_, trailer = packed.read(io.BytesIO(result.stdout_bytes))
    assert isinstance(trailer, connection_pb2.PackedTrailer)
    loaded = tiara("connections load -", result.stdout_bytes)
    assert (loaded.exit_code, loaded.stdout) == (0, "1 of 1 connections loaded from -\n"), loaded.output
    assert filled.pushed == record(1)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda data: data[:-1], "is truncated in a block DONE; nothing was loaded"),
        (
            lambda data: b"#!" + data,
            "is no dump of connections: it does not begin as one; nothing was loaded",
        ),
        (lambda data: data[:40] + b"!" + data[41:], "is damaged: the checksum of a block HEAD is wrong;"),
        (lambda data: b"", "is empty; nothing was loaded"),
    ],
)
def test_load_loads_nothing_of_a_bad_file(
    tiara: Tiara, filled: World, tmp_path: Path, cut: Callable[[bytes], bytes], message: str
) -> None:
    """It is read to its end before the first record is sent."""
    file = tmp_path / "table"
    fill_dump(filled, record(1))
    assert tiara(f"connections dump {file}").exit_code == 0
    file.write_bytes(cut(file.read_bytes()))
    result = tiara(f"connections load {file}")
    assert result.exit_code == 2
    assert f"{file} {message}" in result.stderr
    assert filled.pushed == b""


def test_dump_that_breaks_off_leaves_no_file(tiara: Tiara, filled: World, tmp_path: Path) -> None:
    """Not half of one, and not under another name."""
    file = tmp_path / "table"
    fill_dump(filled, record(1))
    del filled.dump[-1]
    result = tiara(f"connections dump {file}")
    assert result.exit_code == 3
    assert [path for path in tmp_path.iterdir() if "table" in path.name] == []


# Completion


def test_completion_asks_the_server(tiara: Tiara, filled: World, tmp_path: Path) -> None:
    """Names are completed from what exists; without a server there are none, and no error."""
    filled.page = 100

    def complete(words: str, server: str) -> list[str]:
        environment = {
            "_TIARA_COMPLETE": "bash_complete",
            "COMP_WORDS": f"tiara {words}",
            "COMP_CWORD": str(len(words.split())),
            "TIARA_SERVER": server,
        }
        result = CliRunner().invoke(cli, [], prog_name="tiara", env=environment)
        return [line.partition(",")[2] for line in result.stdout.splitlines() if line]

    here = f"unix:{tmp_path}/api.sock"
    assert complete("backend drain web/", here) == ["web/b1", "web/b2", "web/b3"]
    assert complete("pool get f", here) == ["far"]
    assert complete("service delete w", here) == ["web"]
    assert complete("pool get f", "unix:/nowhere/api.sock") == []
