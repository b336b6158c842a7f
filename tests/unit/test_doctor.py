# SPDX-License-Identifier: Apache-2.0
"""tiara doctor's checks on made-up facts: each is shown content, and failing with its remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli_fake import CODE, World, serving
from click.testing import CliRunner, Result
from tiara.cli.main import cli
from tiara.doctor import kernel, running
from tiara.doctor.checks import CHECKS, examine
from tiara.doctor.facts import Backend, Balancer, Dataplane, Facts, Link, Machine, Route, Segment
from tiara.doctor.finding import Status
from tiara.domain.layout import LAYOUT_ID
from tiara.v1 import backend_pool_pb2, connection_pb2

B1, B2 = Backend("web/b1", "198.18.0.11"), Backend("far/b2", "198.18.0.12")
DATAPLANE = Dataplane("af_packet", "eth1", running=True)
PORT = Link("eth1", 1550, driver="veth")
MACHINE = Machine(
    dataplane=DATAPLANE,
    pages_total=200,
    pages_free=150,
    hugetlbfs="/dev/hugepages",
    segment=Segment("/dev/hugepages/tiara-default.segment", 1 << 28, True, LAYOUT_ID),
    capabilities=(1 << 40) - 1,
    port=PORT,
    kernel=Link("tiara0", 1550, rp_filter=2),
    default_routes=("eth0",),
    routes={B1.address: Route("tiara0"), B2.address: Route("tiara0", "198.18.0.1")},
    now=datetime(2026, 12, 1, tzinfo=UTC),
    store="/var/lib/tiara/default/store.db",
)
BALANCER = Balancer(
    version="1.2",
    dataplane_version="1.2",
    layout_id=f"{LAYOUT_ID:016x}",
    live=True,
    workers=2,
    stored=7,
    applied=7,
    pools={"far": "vxlan", "web": "l2"},
    backends=(B1, B2),
    reached={"web/b1": "forwarded", "far/b2": "forwarded"},
)
GOOD = Facts(MACHINE, BALANCER, version="1.2")
MB = 1 << 20


def test_good() -> None:
    """Nothing is wrong, nothing is warned of; every check says something."""
    found = examine(GOOD)
    assert {finding.status for finding in found} == {Status.OK, Status.SKIPPED}
    skipped = [finding.what for finding in found if finding.status == Status.SKIPPED]
    assert [what.partition(" are seen")[0] for what in skipped] == [
        "decapsulation and VIPs of pool far",
        "decapsulation and VIPs of pool web",
    ]
    assert all(list(check(GOOD)) for check in CHECKS)


def on(**changes: Any) -> Facts:
    """The good machine with something else."""
    return replace(GOOD, machine=replace(MACHINE, **changes))


def down(**changes: Any) -> Facts:
    """The same with the data plane to be started."""
    return on(**{"dataplane": replace(DATAPLANE, running=False), "segment": None, **changes})


def with_port(**changes: Any) -> Facts:
    """The good port with something else."""
    return on(port=replace(PORT, **changes))


def serves(**changes: Any) -> Facts:
    """The good balancer with something else."""
    return replace(GOOD, balancer=replace(BALANCER, **changes))


def io(kind: str, **changes: Any) -> Dataplane:
    """A data plane to be started."""
    return Dataplane(kind, "" if kind == "eal" else "eth1", **changes)


UNREACHED = replace(GOOD, balancer=None, unreached="no control plane: no such socket\n  Start one: T")
WARN, WRONG = Status.WARNING, Status.WRONG
FAULTS = [
    ("huge pages", WARN, down(pages_total=0, pages_free=0), "there are none", "echo 144 > /proc/sys/vm/nr_"),
    ("huge pages", WRONG, down(pages_total=0, dataplane=io("eal")), "there are none", "mount -t hugetlbfs"),
    ("huge pages", WARN, down(hugetlbfs=""), "no hugetlbfs", "mount -t hugetlbfs"),
    ("huge pages", WARN, down(pages_free=143), "143 are free, a new segment takes 144", "echo 201 >"),
    ("huge pages", WRONG, down(pages_free=1, dataplane=io("eal")), "1 are free", "echo 343 >"),
    ("huge pages", WARN, on(segment=Segment("/dev/shm/s", 1, False, LAYOUT_ID)), "4 KiB", "reserve huge"),
    ("privileges", WRONG, down(capabilities=1 << 12), "CAP_NET_RAW for", "AmbientCapabilities=CAP_NET_RAW"),
    (
        "privileges",
        WRONG,
        down(capabilities=3 << 12, dataplane=io("af_xdp")),
        "lacks CAP_SYS_ADMIN CAP_IPC_LOCK",
        "as root",
    ),
    ("privileges", WRONG, down(capabilities=0, dataplane=io("eal")), "CAP_NET_ADMIN", "as root"),
    ("privileges", WRONG, down(tun=False), "/dev/net/tun", "modprobe tun"),
    ("port", WRONG, on(port=None), "no interface eth1", "give --io"),
    ("port", WRONG, with_port(up=False), "eth1 is down", "ip link set eth1 up"),
    ("port", WRONG, with_port(merging=("gro", "tso")), "merges", "ethtool -K eth1 gro off tso off"),
    ("port", WRONG, with_port(forwarding=True, rp_filter=2), "twice", "net.ipv4.conf.eth1.forwarding=0"),
    (
        "port",
        WARN,
        with_port(addresses=("198.18.0.3/24",)),
        "198.18.0.3/24",
        "ip address delete 198.18.0.3/24",
    ),
    ("port", WRONG, on(default_routes=("eth1",)), "default route", "--take-interface"),
    ("port", WRONG, on(dataplane=io("af_xdp", workers=2)), "1 queues and 2 workers", "--workers 1"),
    ("clock", WRONG, on(now=datetime(1970, 1, 1, tzinfo=UTC)), "1970-01-01", "timedatectl set-ntp true"),
    ("clock", WARN, on(synchronized=False), "not synchronized", "timedatectl set-ntp true"),
    ("clock", WARN, on(clock_source="hpet"), "hpet", "tsc=reliable"),
    ("clock", WARN, on(steady_tsc=False), "change its pace", "invariant TSC"),
    ("store", WRONG, on(store_free_bytes=15 * MB), "15 MiB", "df /var/lib/tiara/default"),
    ("store", WARN, on(store_free_bytes=255 * MB), "255 MiB", "--store FILE"),
    ("segment", WRONG, on(segment=Segment("/s", 1, True, 0x1234)), "0000000000001234", "connections dump"),
    ("control plane", WRONG, UNREACHED, "no such socket", "Start one: T"),
    ("control plane", WRONG, serves(applied=6, not_applied="worker 1"), "6 applied: worker 1", "tiara node"),
    ("data plane", WRONG, serves(live=False), "none runs for instance default", "tiara-dataplane --instance"),
    ("data plane", WRONG, serves(workers=0), "none of its workers", "start it again"),
    ("versions", WARN, serves(dataplane_version="1.1"), "data plane 1.1", "after an upgrade"),
    ("versions", WRONG, serves(layout_id="12"), "layout 12", "one version"),
    ("MTU", WRONG, with_port(mtu_bytes=1549), "pool far (vxlan) needs 1550", "ip link set eth1 mtu 1550"),
    ("MTU", WRONG, on(kernel=Link("tiara0", 1500)), "tiara0 carries 1500", "start the data plane again"),
    ("MTU", WRONG, replace(GOOD, mtu_bytes=1551), "pool web (l2) needs 1551", "mtu 1551"),
    ("MTU", WARN, serves(verdicts={"too_big": 3}), "3 packets", "tso off gso off"),
    ("rp_filter", WARN, on(kernel=Link("tiara0", 1550, rp_filter=1)), "strict", "tiara0.rp_filter=2"),
    (
        "rp_filter",
        WRONG,
        on(kernel=Link("tiara0", 1550, rp_filter=1), routes={B1.address: Route("eth0")}),
        B1.address,
        "tiara0.rp_filter=2",
    ),
    (
        "return path",
        WRONG,
        on(routes={B2.address: Route("tiara0")}),
        "web/b1 (198.18.0.11) does not",
        "ip route",
    ),
    ("return path", WRONG, on(routes={B1.address: Route("eth0")}), "leads by eth0", "dev tiara0"),
    (
        "return path",
        WRONG,
        serves(backends=(replace(B1, fresh=10, known=10),)),
        "no client of web/b1 went on",
        "on 198.18.0.11: tiara backend-setup web --check",
    ),
    ("next hops", WRONG, serves(reached={"web/b1": "no_neighbour"}), "web/b1", "--gateway"),
    ("backends", WRONG, serves(backends=(replace(B1, down="connect: refused"),)), "refused", "198.18.0.11"),
]


@pytest.mark.parametrize(("check", "status", "facts", "what", "remedy"), FAULTS)
def test_fault(check: str, status: Status, facts: Facts, what: str, remedy: str) -> None:
    """It is found by its check, at its weight, with what to do."""
    found = [finding for finding in examine(facts) if finding.check == check and finding.status == status]
    assert any(what in finding.what and remedy in finding.remedy for finding in found), found


def test_every_check_is_shown_failing() -> None:
    """And each fault has a remedy, in every case above."""
    assert {check for check, *_ in FAULTS} == {finding.check for finding in examine(GOOD)}
    for _, _, facts, _, _ in FAULTS:
        for finding in examine(facts):
            assert bool(finding.remedy) == (finding.status in (WARN, WRONG)), finding


NO_FAULT = [
    ("forwarding behind a strict reverse path", with_port(forwarding=True, rp_filter=1), "port"),
    ("connections that have just begun", serves(backends=(replace(B1, fresh=9, known=9),)), "return path"),
    ("clients that went on", serves(backends=(replace(B1, fresh=10, known=11),)), "return path"),
    (
        "offloads that the data plane will switch off",
        down(port=replace(PORT, merging=("gro",))),
        "port",
    ),
    ("BPF instead of SYS_ADMIN", down(capabilities=1 << 39 | 7 << 12, dataplane=io("af_xdp")), "privileges"),
    ("as many free pages as it takes", down(pages_free=144), "huge pages"),
    ("queues of af_packet", on(dataplane=replace(DATAPLANE, workers=4)), "port"),
]


@pytest.mark.parametrize(("facts", "check"), [case[1:] for case in NO_FAULT], ids=[c[0] for c in NO_FAULT])
def test_no_fault(facts: Facts, check: str) -> None:
    """What looks like one, and is none."""
    assert {finding.status for finding in examine(facts) if finding.check == check} == {Status.OK}


def test_silence_by_the_kernel() -> None:
    """A backend without a share is known by the kernel's questions, at its router where it has one."""
    facts = serves(reached={"web/b1": "forwarded"})
    for address, named in (("198.18.0.1", True), (B2.address, False)):
        machine = replace(MACHINE, neighbours={address: "FAILED"})
        found = [one.what for one in examine(replace(facts, machine=machine)) if one.check == "next hops"]
        assert ("far/b2" in found[0]) == named


def test_what_cannot_be_seen() -> None:
    """It is skipped, with why, and is no fault."""
    for facts, check, why in (
        (down(dataplane=Dataplane()), "privileges", "say how one would be started"),
        (down(dataplane=Dataplane()), "port", "say how one would be started"),
        (on(dataplane=io("eal")), "port", "DPDK owns it"),
        (on(dataplane=replace(DATAPLANE, elsewhere=True)), "port", "run tiara doctor there"),
        (with_port(merging=None), "port", "ethtool is not here"),
        (on(synchronized=None), "clock", "timedatectl"),
        (on(store_free_bytes=None), "store", "cannot be looked at"),
        (on(segment=Segment("/s", 1, True, None)), "segment", "may not be read"),
        (on(kernel=None), "rp_filter", "no kernel interface"),
        (on(kernel=None), "return path", "no kernel interface"),
        (on(kernel=None, port=None, dataplane=io("eal")), "MTU", "no interface"),
        (serves(live=False), "next hops", "no data plane"),
        (serves(live=False, backends=(replace(B1, down="x"),)), "backends", "through the data plane"),
        (serves(reached=None), "next hops", "scope operate"),
        (UNREACHED, "backends", "no control plane"),
    ):
        (found,) = [one for one in examine(facts) if one.check == check and one.status == Status.SKIPPED][:1]
        assert why in found.what


def test_how_a_daemon_was_started(tmp_path: Path) -> None:
    """Both ways to give a value, flags, another instance, and what comes after --."""
    for pid, line in {
        "1": "/usr/bin/tiara-dataplane --instance other --io eal",
        "2": "tiara-dataplane --take-interface --io=af_xdp:eth3 --workers 4 --no-kernel -- --io x",
        "3": "/usr/bin/python3 /usr/bin/tiara-controlplane --store /var/s.db",
        "4": "grep tiara-dataplane --io=eal x",
    }.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(line.replace(" ", "\0").encode() + b"\0")
    found = running.dataplane(running.find("tiara-dataplane", "default", tmp_path), "eal", 1, 8)
    assert found == Dataplane("af_xdp", "eth3", 4, "", 8, running=True)
    store = running.find("tiara-controlplane", "default", tmp_path)
    assert store is not None and store.options == {"--store": "/var/s.db"}
    assert running.find("tiara-controlplane", "other", tmp_path) is None
    assert running.dataplane(None, "af_packet:eth1", 2, 8) == Dataplane("af_packet", "eth1", 2, connections=8)


def test_what_ethtool_says() -> None:
    """Queues in use, not those that could be; offloads that are on."""
    channels = "Pre-set maximums:\nRX: n/a\nCombined:\t8\nCurrent hardware settings:\n"
    channels += "RX:\t\t{}\nTX:\t\t{}\nCombined:\t{}\n"
    assert kernel.queues(channels.format(2, 1, 3)) == 4
    assert kernel.queues(channels.format("n/a", "n/a", 2)) == 2
    assert kernel.queues("") == 1
    features = {"generic-receive-offload": {"active": True}, "tcp-segmentation-offload": {"active": False}}
    assert kernel.merging(json.dumps([{"ifname": "eth1", **features}])) == ("gro",)
    assert kernel.merging("") is None


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A control plane with a pool, a backend and a service."""
    with serving(tmp_path / "api.sock") as found:
        for line in (
            "pool create web --mode ipip",
            "backend create web/b1 --address 198.18.0.11",
            "service create web --frontend tcp:198.18.100.1:80 --pool web --allow-source 10.1.0.0/16",
        ):
            assert tiara(tmp_path, line).exit_code == 0
        found.node.dataplane_live = True
        found.explanation.backend = "backendPools/web/backends/b1"
        found.explanation.verdict = "no_neighbour"
        yield found


def tiara(folder: Path, line: str) -> Result:
    """Runs a command line; whether anybody listens is the test's."""
    return CliRunner().invoke(cli, ["--server", f"unix:{folder}/api.sock", *line.split()])


def told(folder: Path) -> dict[str, list[str]]:
    """What is not ok, by check."""
    result = tiara(folder, "doctor -o json")
    found: dict[str, list[str]] = {}
    for one in json.loads(result.stdout):
        if one["status"] != "ok":
            found.setdefault(one["check"], []).append(one["what"])
    return found


def test_what_is_asked(world: World, tmp_path: Path) -> None:
    """Who is reached, as an allowed client; who is down; whose clients never went on."""
    status = world.backends["backendPools/web/backends/b1"].status
    status.health, status.reason = backend_pool_pb2.HEALTH_STATE_DOWN, "connect: refused"
    one = connection_pb2.Connection(
        backend="backendPools/web/backends/b1", state=connection_pb2.CONNECTION_STATE_NEW
    )
    one.idle.FromSeconds(3)
    world.connections = [one] * 10
    tiara(tmp_path, "backend create web/b2 --address 198.18.0.12")
    found = told(tmp_path)
    assert found["next hops"] == ["nobody answers ARP for the next hop of web/b1 (198.18.0.11)"]
    assert found["backends"][0] == "web/b1 is down: connect: refused"
    flows = [request.flow for request in world.requests if hasattr(request, "flow")]
    assert {(flow.client_address, flow.tcp_flags) for flow in flows} == {("10.1.0.1", 2)}
    assert len({flow.client_port for flow in flows}) == len(flows) == 512, "b2 is never met"


def test_no_more_is_asked_than_needed(world: World, tmp_path: Path) -> None:
    """Once each backend has been met; a prefix may be a single client."""
    world.services["virtualServices/web"].allow_sources[:] = ["10.1.0.7/32"]
    told(tmp_path)
    assert [r.flow.client_address for r in world.requests if hasattr(r, "flow")] == ["10.1.0.7"]


def test_who_may_only_read(world: World, tmp_path: Path) -> None:
    """Gets all but what needs another scope."""
    world.fail["ExplainPacket"] = (CODE.PERMISSION_DENIED, "this needs the scope operate", [])
    assert "scope operate" in told(tmp_path)["next hops"][0]
    assert "control plane" not in told(tmp_path)


def test_table_without_daemons(tmp_path: Path) -> None:
    """Each remedy under its fault; 1 is the exit code, 2 that of a wrong argument."""
    result = tiara(tmp_path, "doctor")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("wrong    control plane"))
    assert "there is no such socket" in lines[at]
    assert lines[at + 1].startswith("         -> Start one: tiara-controlplane")
    assert any(line.startswith("ok       store") or "MiB are free" in line for line in lines)
    assert result.stderr.endswith(" wrong\n")
    assert tiara(tmp_path, "doctor --io eth1").exit_code == 2
