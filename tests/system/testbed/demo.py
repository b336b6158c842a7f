# SPDX-License-Identifier: Apache-2.0
"""script/demo: Tiara between a client and real servers, while servers and daemons come, go and are killed."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

import grpc
from google.protobuf.json_format import MessageToJson
from tiara.v1 import node_pb2

from testbed import screen, topology
from testbed.balancer import CONTROLPLANE, CONTROLPLANE_PROGRAM, DATAPLANE, SIZES, Balancer
from testbed.screen import Row
from testbed.topology import (
    CLIENT_ADDRESS,
    HTTP_PORT,
    TCP_VIP,
    UDP_PORTS,
    TestbedError,
    Topology,
    server_address,
)
from testbed.traffic import HTTP_TARGET, UDP_TARGET, Traffic

TCP_FLOWS = 1000
UDP_FLOWS = 200
PUSHED_FLOWS = 100
PROBES = 2000
HELD_PORTS = range(40000, 40000 + TCP_FLOWS)
REOPENED_PORTS = range(42000, 45000)
SIDE_PORTS = range(45000, 45020)
PUSHED_PORTS = range(50000, 50000 + PUSHED_FLOWS)
PROBE_PORTS = range(52000, 52000 + PROBES)
SIDE_ROUNDS = 3
SIDE = (UDP_TARGET[0], UDP_PORTS[1])
DISAGREE_MIN = 0.20
CARD_SHARE_MIN = 0.8
WEB, ECHO = "web", "echo"
ADDED, DRAINED, KILLED, PINNED = "b4", "b2", "b3", "b2"


@dataclass
class Demo:
    """The steps, in order, on one testbed.

    `check_port` 0 is without health checks, `card` with an offload card. `broken` collects the flows that
    broke and should not have.
    """

    balancer: Balancer
    traffic: Traffic
    hold_s: float = 2.0
    show: Callable[[str], None] = print
    check_port: int = HTTP_PORT
    card: bool = False
    rows: list[Row] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    summary: dict[str, object] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    longest_pause_ms: int = 0
    _command: str = ""
    _note: str = ""
    _first_forward_ms: int = 0

    def run(self) -> None:
        """All steps and the closing block."""
        self.show(screen.title())
        self.step("traffic", self.start_traffic)
        if self.card:
            self.step("into the card", self.see_card_fill)
        self.step(f"add backend {ADDED}", self.add_backend)
        self.step("plan, apply", self.plan_and_apply)
        self.step("roll back", self.roll_back)
        self.step(f"drain {DRAINED}", self.drain_backend)
        self.step(f"kill server {KILLED}", self.kill_server)
        self.step("delete, re-create", self.recreate)
        if self.card:
            self.step("card loses power", self.cycle_card)
        self.step("kill -9 ctrl plane", self.kill_controlplane)
        self.step("kill -9 data plane", self.kill_dataplane)
        self.step(f"push {PUSHED_FLOWS}", self.push)
        self.close()

    def step(self, name: str, action: Callable[[], None]) -> None:
        """Does it, holds the traffic on until every flow has answered since, prints the line."""
        self._command = self._note = ""
        action()
        self.traffic.settle(time.monotonic(), self.hold_s)
        report = self.traffic.report()
        wrong = [each for each in report.broken if each.server not in self.killed]
        self.longest_pause_ms = max(self.longest_pause_ms, report.longest_pause_ms)
        self.broken += [f"{name}: {each.flow} on {each.server}: {each.reason}" for each in wrong]
        row = Row(
            name,
            report.held,
            report.requests,
            report.longest_gap_ms,
            len(wrong),
            self._note,
            self._command,
        )
        self.rows.append(row)
        self.show(screen.line(row))

    def cli(self, command: str) -> str:
        """Runs a CLI command; the step's line shows the first."""
        self._command = self._command or command
        return self.balancer.cli(command)

    # ---- the steps

    def start_traffic(self) -> None:
        """Two pools of three servers and a service each, through the gRPC API; then the held flows."""
        balancer = self.balancer
        for pool, mode in ((WEB, "l2"), (ECHO, "vxlan")):
            balancer.create_pool(pool, mode, check_port=self.check_port)
            for number in (1, 2, 3):
                balancer.create_backend(pool, f"b{number}", server_address(number))
        balancer.create_service(WEB, WEB, f"tcp:{_text(HTTP_TARGET)}")
        balancer.create_service(ECHO, ECHO, f"udp:{_text(UDP_TARGET)}")
        balancer.wait_applied()
        self.traffic.open("tcp", HELD_PORTS)
        self.traffic.open("udp", range(HELD_PORTS.start, HELD_PORTS.start + UDP_FLOWS))
        self.cli("tiara service list -o wide")
        self._note = f"{TCP_FLOWS} TCP connections by l2, {UDP_FLOWS} UDP flows by vxlan"

    def add_backend(self) -> None:
        """Held connections stay where they are; the selection table changes under them."""
        for pool in (WEB, ECHO):
            self.cli(f"tiara backend create {pool}/{ADDED} --address {server_address(int(ADDED[1:]))}")

    def plan_and_apply(self) -> None:
        """A file gives one server three times the weight: rows move, and no live connection does."""
        wanted = self.balancer.export()
        wanted.owner = "demo"
        for backend in wanted.backends:
            backend.weight = 3 if backend.name.endswith("/b1") else 1
        file = self.balancer.topology.folder / "lb.json"
        file.write_text(MessageToJson(wanted))
        plan = self.balancer.plan(wanted)
        if plan.affected_connections or not plan.pools:
            raise TestbedError(f"a change of weights should move rows and no connection: {plan}")
        self.balancer.cli(f"tiara apply -f {file} --yes")
        self._command = "tiara apply -f lb.json --yes"
        moved = sum(rows.moved for rows in plan.pools) / sum(rows.rows for rows in plan.pools)
        self._note = (
            f"{moved:.0%} of new connections to go elsewhere, {plan.affected_connections} of "
            f"{plan.live_connections:,} live ones"
        )
        self.summary["plan"] = self._note

    def roll_back(self) -> None:
        """To the revision before."""
        before = self.balancer.node().stored_revision - 1
        self.cli(f"tiara rollback {before} --yes")
        weights = {backend.weight for backend in self.balancer.export().backends}
        if weights != {1}:
            raise TestbedError(f"rolled back to revision {before}, but weights are {weights}")

    def drain_backend(self) -> None:
        """The drained server keeps its connections and gets no new ones."""
        for pool in (WEB, ECHO):
            self.cli(f"tiara backend drain {pool}/{DRAINED}")

    def kill_server(self) -> None:
        """Its connections end with it; the health check takes it out, and its UDP flows go elsewhere."""
        differ = self.assert_disagreement()
        self.killed.add(KILLED)
        self.traffic.allow_move(KILLED)
        lost = self.traffic.held_by(KILLED)
        self.balancer.topology.kill_server(KILLED)
        for pool in (WEB, ECHO):
            self.balancer.wait_for(
                f"{pool}/{KILLED} to be taken out", partial(self.balancer.is_down, pool, KILLED)
            )
        self.cli(f"tiara backend get {WEB}/{KILLED}")
        self.balancer.wait_applied()
        share = self.traffic.open("tcp", REOPENED_PORTS[:lost])
        self._note = f"{lost} on {KILLED} ended with it, opened anew on {_names(share)}; {differ}"
        self.summary["ended_on_killed_server"] = lost

    def recreate(self) -> None:
        """A service that is deleted and made again, each time with another server, beside the traffic."""
        for number in range(SIDE_ROUNDS):
            server = ("b1", "b4", "b2")[number % 3]
            self.create_side(f"side{number}", server)
            self.expect_side(server)
            if number + 1 < SIDE_ROUNDS:
                self.cli("tiara service delete side")
                self.balancer.delete_pool(f"side{number}")
                self.expect_silence()
        self._note = f"{SIDE_ROUNDS} times, each on another server, asked from the same client ports"

    def create_side(self, pool: str, server: str) -> None:
        """The side service on one server."""
        self.balancer.create_pool(pool, "l2")
        self.balancer.create_backend(pool, server, server_address(int(server[1:])))
        self.balancer.create_service("side", pool, f"udp:{_text(SIDE)}")
        self.balancer.wait_applied()

    def expect_side(self, server: str) -> None:
        """Every answer comes from that server, from client ports that the last one has served too."""
        met = Counter(self.traffic.probe("udp", SIDE_PORTS, SIDE).values())
        if met != {server: len(SIDE_PORTS)}:
            raise TestbedError(f"the side service is on {server}, but answers came from {dict(met)}")

    def expect_silence(self) -> None:
        """A deleted service does not answer: its packets end in the verdict no_service."""
        before = self.balancer.statistics(count=False).verdicts["no_service"]
        if any(self.traffic.ask(SIDE_PORTS.start, [SIDE], times=1)):
            raise TestbedError("a deleted service has answered")
        self.balancer.wait_for(
            "the verdict no_service",
            lambda: self.balancer.statistics(count=False).verdicts["no_service"] > before,
        )

    def see_card_fill(self) -> None:
        """Connections that have shown a second packet are forwarded by the card."""
        self.cli("tiara stats --count")
        self.wait_for_offers(0)
        self._note = f"{self.balancer.statistics().offloaded_connections:,} connections in the card"

    def cycle_card(self) -> None:
        """All that it had is gone; packets come up, and connections move up into it again."""
        before = self.balancer.statistics(count=False).events
        pid = self.balancer.signal(DATAPLANE, signal.SIGUSR1)
        self._command = f"kill -USR1 {pid}"
        self.balancer.wait_for(
            "the card's reset to be noticed",
            lambda: self.balancer.statistics(count=False).events["card_reset"] > before["card_reset"],
        )
        self.wait_for_offers(before["card_offered"])
        self._note = f"{self.balancer.statistics().offloaded_connections:,} connections in the card again"

    def wait_for_offers(self, before: int) -> None:
        """Until most of the held flows have been given to the card since it counted `before` of them."""
        wanted = before + CARD_SHARE_MIN * self.traffic.report().held
        self.balancer.wait_for(
            "connections to move up into the card",
            lambda: self.balancer.statistics(count=False).events["card_offered"] >= wanted,
        )

    def kill_controlplane(self) -> None:
        """Packets do not notice; the new one adopts the segment and rewrites nothing that is equal."""
        differ = self.assert_disagreement()
        before = self.balancer.node()
        pid = self.balancer.kill(CONTROLPLANE)
        self._command = f"kill -9 {pid} ({differ})"
        self.balancer.start_controlplane()
        self.balancer.wait_applied()
        after = self.balancer.node()
        if after.generation != before.generation:
            raise TestbedError(
                f"the new control plane rewrote what was equal: generation {before.generation} became "
                f"{after.generation}"
            )
        self._note = f"generation {after.generation} kept; {differ}"

    def kill_dataplane(self) -> None:
        """The new one adopts the segment: forwarding goes on with the same backends."""
        differ = self.assert_disagreement()
        starts = self.balancer.node().dataplane_starts
        pid = self.balancer.kill(DATAPLANE)
        self._command = f"kill -9 {pid} ({differ})"
        self.before_restart()
        self.balancer.start_dataplane()
        self.balancer.wait_for("the first forwarded packet", lambda: self.has_forwarded(starts))
        self._first_forward_ms = round(self.balancer.node().first_forward.ToMicroseconds() / 1000)
        self.summary["first_forward_ms"] = self._first_forward_ms
        self._note = f"first packet forwarded {self._first_forward_ms} ms after its start; {differ}"

    def before_restart(self) -> None:
        """Between kill and restart of the data plane; a test overrides it."""

    def has_forwarded(self, starts: int) -> bool:
        """Whether a data plane that started after `starts` others has forwarded a packet."""
        node = self.balancer.node()
        return node.dataplane_starts > starts and node.HasField("first_forward")

    def push(self) -> None:
        """Connections pinned to a draining server, which selection would never choose."""
        script = Path(__file__).with_name("push.py")
        arguments = [WEB, f"{WEB}/{PINNED}", CLIENT_ADDRESS, str(PUSHED_PORTS.start), str(PUSHED_FLOWS)]
        self._command = f"push.py {WEB} {WEB}/{PINNED}"
        server = f"unix:/run/tiara/{self.balancer.instance}/api.sock"
        topology.run(sys.executable, str(script), server, *arguments)
        share = self.traffic.open("tcp", PUSHED_PORTS)
        if share != {PINNED: PUSHED_FLOWS}:
            raise TestbedError(f"pushed to {PINNED}, but the clients landed on {share}")
        self._note = f"{PUSHED_FLOWS} clients landed on {PINNED}, where they were pinned"

    # ---- what is asserted and shown

    def assert_disagreement(self) -> str:
        """At least 20 % of the connections must sit elsewhere than hashing alone would send them."""
        statistics = self.balancer.statistics()
        part = statistics.differ_from_selection / max(1, statistics.connections)
        if part < DISAGREE_MIN:
            raise TestbedError(
                f"only {part:.0%} of {statistics.connections} connections differ from the selection table: "
                "a kill would prove nothing"
            )
        return f"{part:.0%} differ"

    def close(self) -> None:
        """The closing block."""
        share = Counter(self.traffic.probe("tcp", PROBE_PORTS).values())
        if share.total() != PROBES:
            raise TestbedError(f"only {share.total()} of {PROBES} new connections were answered")
        statistics = self.balancer.statistics()
        self.show("")
        self.show(self.share_line(share, statistics))
        verdicts = {name: statistics.verdicts.get(name, 0) for name in ("forwarded", "no_service", "too_big")}
        shown = "  ".join(f"{name} {count:,}" for name, count in verdicts.items())
        used = f"{statistics.connections:,} of {statistics.connection_capacity:,}"
        self.show(f"table   {used} | verdicts: {shown}")
        self.show(f"plan    {self.summary['plan']}")
        self.show(f"restart data plane: first packet forwarded {self._first_forward_ms} ms after its start")
        if self.card:
            self.show(self.tiers_line(statistics))
        self.show(self.connection_line())
        self.summary["longest_pause_ms"] = self.longest_pause_ms
        self.summary["share"] = dict(share)
        self.summary["verdicts"] = dict(statistics.verdicts)

    def share_line(self, share: Counter[str], statistics: node_pb2.Statistics) -> str:
        """Where new connections went, and where they should."""
        total = max(1, sum(share.values()))
        parts = []
        for each in statistics.backends:
            pool, _, backend = each.backend.removeprefix("backendPools/").partition("/backends/")
            if pool != WEB:
                continue
            if each.wanted_share == 0:
                parts.append(f"{backend} {share[backend]} {'down' if backend in self.killed else 'drained'}")
            else:
                parts.append(
                    f"{backend} {100 * share[backend] / total:.1f} % (want {100 * each.wanted_share:.1f})"
                )
        return f"share   {'  '.join(parts)}"

    def tiers_line(self, statistics: node_pb2.Statistics) -> str:
        """Who forwarded how many packets."""
        card, cpu = (statistics.verdicts[name] for name in ("forwarded_by_card", "forwarded"))
        if card < CARD_SHARE_MIN * cpu:
            raise TestbedError(f"the card forwarded only {card:,} packets, the CPU {cpu:,}")
        self.summary["tiers"] = {"card": card, "cpu": cpu}
        inside = f"{statistics.offloaded_connections:,} connections in the card"
        return f"tiers   card {card:,} packets ({card / (card + cpu):.0%})  cpu {cpu:,} | {inside}"

    def connection_line(self) -> str:
        """One held connection, as the CLI shows it."""
        port = self.traffic.held_port()
        found = self.balancer.cli(f"tiara connection get tcp {CLIENT_ADDRESS}:{port} {TCP_VIP}:{HTTP_PORT}")
        return screen.cut(found)


def _text(endpoint: tuple[str, int]) -> str:
    return f"{endpoint[0]}:{endpoint[1]}"


def _names(share: dict[str, int]) -> str:
    return " ".join(sorted(share))


@contextmanager
def testbed(
    name: str,
    io: str,
    sizes: Mapping[str, int | str] = SIZES,
    controlplane: Sequence[str] = CONTROLPLANE_PROGRAM,
    workers: int = 1,
) -> Iterator[tuple[Balancer, Traffic]]:
    """Namespaces, servers, both daemons and the holder; all gone at the end, however it ends.

    `sizes` are those of the segment and other arguments of the data plane, `controlplane` is the program
    with its first arguments.
    """
    with Topology(name, queues=workers) as built:
        balancer = Balancer(built, io, sizes, controlplane, workers)
        balancer.start()
        with Traffic(built) as traffic:
            yield balancer, traffic


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/demo",
        description="Tiara between a client and nginx servers in network namespaces: 1,000 TCP connections "
        "and 200 UDP flows are held while backends come and go and everything is killed once.",
    )
    parser.add_argument(
        "--io", choices=["af_packet", "af_xdp"], default="af_packet", help="how DPDK gets packets"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="packet workers [1]")
    parser.add_argument(
        "--card",
        default="none",
        metavar="sim",
        help="with a simulated offload card; sim:LIBRARY: another [none]",
    )
    parser.add_argument("--keep", action="store_true", help="leave everything up, with its traffic")
    parser.add_argument("--stop", action="store_true", help="end what --keep left up")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the steps there too")
    parser.add_argument(
        "--hold", type=float, default=2.0, metavar="S", help="seconds of traffic after each step [2]"
    )
    parser.add_argument("--no-install", action="store_true", help="install no Debian package (set-up)")
    return parser.parse_args()


def _end(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(arguments: argparse.Namespace, name: str) -> int:
    sizes = {**SIZES, "card": arguments.card}
    with testbed(name, arguments.io, sizes, workers=arguments.workers) as (balancer, traffic):
        demo = Demo(balancer, traffic, arguments.hold, card=arguments.card != "none")
        demo.run()
        if arguments.json:
            screen.write_json(arguments.json, demo.rows, demo.summary)
        for each in demo.broken[:10]:
            print(f"broken: {each}")
        if arguments.keep:
            _keep(balancer, traffic)
        else:
            print("next    script/demo --keep leaves it up for a look around")
        return 1 if demo.broken else 0


def _keep(balancer: Balancer, traffic: Traffic) -> None:
    traffic.stay()
    balancer.topology.keep()
    name = balancer.topology.namespace
    print(f"""
It stays up, traffic included. Look around:
  export TIARA_INSTANCE={balancer.instance} PATH=$PWD/build/venv/bin:$PATH
  tiara service list -o wide; tiara stats --count; tiara connection list
  nsenter --net=/run/netns/{name("client")} ss -tn dst {TCP_VIP}
  nsenter --net=/run/netns/{name("balancer")} ip address
End it with: script/demo --stop""")


def main() -> None:
    """The program: 0 when nothing broke."""
    arguments = _arguments()
    if arguments.stop:
        for name in topology.remove_kept():
            print(f"{name} has ended")
        return
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, _end)
    try:
        status = _run(arguments, f"demo-{time.time_ns() // 1000 % 1_000_000:06d}")
    except KeyboardInterrupt:
        sys.exit("\nscript/demo: interrupted; nothing is left behind")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (TestbedError, grpc.RpcError, subprocess.SubprocessError) as error:
        sys.exit(f"script/demo: {error}")
    sys.exit(status)


if __name__ == "__main__":
    main()
