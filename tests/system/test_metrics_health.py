# SPDX-License-Identifier: Apache-2.0
"""Both daemons in namespaces: known packets in every counter of /metrics; HTTP checks; fail-open."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from testbed import topology as bed
from testbed.balancer import CONTROLPLANE_PROGRAM, Balancer
from testbed.topology import Topology, server_address

METRICS = "127.0.0.1:9464"
COUNTED, OPEN, SHUT = "198.18.100.10", "198.18.100.11", "198.18.100.12"
FLOWS, EACH, BYTES, FRAME_BYTES, STRAY = 20, 3, 100, 142, 7
FAST = "--interval 200ms --timeout 200ms --rise 1 --fall 2"

SCRAPE = "import urllib.request as r; print(r.urlopen('http://{}/metrics', timeout=10).read().decode())"
SEND = """
import socket
for port in range(41000, 41000 + {flows}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.bind(('', port))
        flow.settimeout(5)
        for _ in range({each}):
            flow.sendto(bytes({size}), ('{vip}', 5300))
            flow.recv(2000)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stray:
    for _ in range({stray}):
        stray.sendto(b'x', ('{vip}', 9))
"""
GET = "import urllib.request as r; print(r.urlopen('http://{}/', timeout=3).status)"

Metrics = dict[str, float]


@pytest.fixture(scope="module")
def balancer() -> Iterator[Balancer]:
    """Two servers with nginx and a UDP echo; pools of three kinds of checks."""
    with Topology("test-metrics", servers=2) as topology:
        program = (*CONTROLPLANE_PROGRAM, f"--metrics-listen={METRICS}", "--metrics-scan=0.001")
        made = Balancer(topology, controlplane=program)
        made.start()
        for line in (
            f"tiara pool create counted --mode l2 --check-http 80/up {FAST}",
            f"tiara pool create open --mode l2 --check-http 81/up {FAST} --fail-open",
            f"tiara pool create shut --mode l2 --check-http 80/up --check-status 404 {FAST}",
            *(
                f"tiara backend create {pool}/b{number} --address {server_address(number)}"
                for pool in ("counted", "open", "shut")
                for number in (1, 2)
            ),
            f"tiara service create counted --frontend udp:{COUNTED}:5300 --pool counted",
            f"tiara service create open --frontend tcp:{OPEN}:80 --pool open",
            f"tiara service create shut --frontend tcp:{SHUT}:80 --pool shut",
        ):
            made.cli(line)
        made.wait_for("all verdicts of health checks", lambda: _judged(made))
        yield made


def _judged(balancer: Balancer) -> bool:
    down = all(balancer.is_down(pool, name) for pool in ("open", "shut") for name in ("b1", "b2"))
    return down and all(balancer.backend("counted", name).status.health == 1 for name in ("b1", "b2"))


def scrape(balancer: Balancer) -> Metrics:
    """Samples as "name label=value ..."."""
    text = balancer.topology.run("balancer", sys.executable, "-c", SCRAPE.format(METRICS))
    return {
        " ".join([sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(metrics: Metrics, start: str) -> float:
    """Of all samples whose key begins so."""
    return sum(value for key, value in metrics.items() if key.startswith(start))


def test_known_packets_are_counted(balancer: Balancer) -> None:
    """60 datagrams of 20 clients and 7 to no service: the same numbers by service, backend and verdict."""
    before = scrape(balancer)
    script = SEND.format(flows=FLOWS, each=EACH, size=BYTES, vip=COUNTED, stray=STRAY)
    balancer.topology.run("client", sys.executable, "-c", script)
    balancer.wait_for("the last packet", lambda: _grown(balancer, before, "no_service") == STRAY)
    after = scrape(balancer)
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    service = f"address={COUNTED} port=5300 protocol=udp service=counted"
    expected = {
        f"tiara_service_packets_total {service}": FLOWS * EACH,
        f"tiara_service_bytes_total {service}": FLOWS * EACH * FRAME_BYTES,
        f"tiara_service_connections_total {service}": FLOWS,
        f"tiara_service_live_connections {service}": FLOWS,
        "tiara_table_entries": FLOWS,
        "tiara_verdict_packets_total verdict=forwarded": FLOWS * EACH,
        "tiara_verdict_packets_total verdict=no_service": STRAY,
        "tiara_events_total event=connection_new": FLOWS,
    }
    assert {key: grown[key] for key in expected} == expected
    backends = {
        "packets_total": FLOWS * EACH,
        "bytes_total": FLOWS * EACH * FRAME_BYTES,
        "connections_total": FLOWS,
        "live_connections": FLOWS,
    }
    assert {what: total(grown, f"tiara_backend_{what} ") for what in backends} == backends
    for pool in ("open", "shut"):
        assert total(grown, f"tiara_backend_packets_total backend=b1 pool={pool}") == 0


def _grown(balancer: Balancer, before: Metrics, verdict: str) -> float:
    key = f"tiara_verdict_packets_total verdict={verdict}"
    return scrape(balancer)[key] - before[key]


def test_all_that_was_received_and_sent_has_a_verdict(balancer: Balancer) -> None:
    """Every frame that a worker received or sent is in exactly one verdict. Probes go on meanwhile: a
    look may fall into the middle of a burst, but not every look."""
    balancer.wait_for("verdicts that add up to frames", lambda: _adds_up(scrape(balancer)))


def _adds_up(found: Metrics) -> bool:
    verdicts = "tiara_verdict_packets_total verdict="
    received = total(found, verdicts) - found[f"{verdicts}injected"]
    sent = sum(
        found[f"{verdicts}{name}"] for name in ("forwarded", "injected", "arp_answered", "icmp_answered")
    )
    return (received, sent) == (found["tiara_received_packets_total"], found["tiara_sent_packets_total"])


def test_metrics_are_what_the_api_says(balancer: Balancer) -> None:
    """Every verdict and event of the statistics, between one look before and one after."""
    first, found, last = balancer.statistics(), scrape(balancer), balancer.statistics()
    for noun, label, earlier, later in (
        ("verdict_packets", "verdict", first.verdicts, last.verdicts),
        ("events", "event", first.events, last.events),
    ):
        assert earlier.keys() == later.keys()
        for name in earlier:
            assert earlier[name] <= found[f"tiara_{noun}_total {label}={name}"] <= later[name]
    assert first.rx_packets <= found["tiara_received_packets_total"] <= last.rx_packets
    assert first.tx_bytes <= found["tiara_sent_bytes_total"] <= last.tx_bytes
    node = balancer.node()
    assert found["tiara_applied_revision"] == node.applied_revision
    assert (found["tiara_workers"], found["tiara_dataplane_up"]) == (1, 1)
    assert found["tiara_table_capacity"] == first.connection_capacity


def test_promtool_is_content(balancer: Balancer) -> None:
    """Of a data plane that has worked, too."""
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: run script/setup --dev"
    text = balancer.topology.run("balancer", sys.executable, "-c", SCRAPE.format(METRICS))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_health_by_http(balancer: Balancer) -> None:
    """Status and reason decide, through the data plane's exception path; /metrics tells the same."""
    assert balancer.backend("open", "b1").status.reason == "connect: refused"
    assert balancer.backend("shut", "b1").status.reason == "http: status 200"
    found = scrape(balancer)
    up = {pool: found[f"tiara_backend_up backend=b1 pool={pool}"] for pool in ("counted", "open", "shut")}
    assert up == {"counted": 1, "open": 0, "shut": 0}


def test_fail_open_and_not(balancer: Balancer) -> None:
    """All down: a pool that fails open goes on with all of them, another one ends in no_backend."""
    assert balancer.topology.run("client", sys.executable, "-c", GET.format(OPEN)) == "200\n"
    before = scrape(balancer)
    with pytest.raises(bed.TestbedError, match="timed out"):
        balancer.topology.run("client", sys.executable, "-c", GET.format(SHUT))
    assert _grown(balancer, before, "no_backend") > 0
    shares = scrape(balancer)
    assert total(shares, "tiara_backend_selection_ratio backend=b1 pool=open") > 0.4
    assert total(shares, "tiara_backend_selection_ratio backend=b1 pool=shut") == 0
