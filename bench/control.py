# SPDX-License-Identifier: Apache-2.0
"""The API of a whole instance that carries 1000 services of 100 backends: how long calls take.

Both daemons run. The data plane reads the same packets over and over with what processor time the
others leave it (nice 19); four clients, each a process, and four watches share the rest with the control
plane. So these are times of a busy machine, not of an idle one.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from tiara import client
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import backend_pool_pb2_grpc, configuration_pb2_grpc, node_pb2_grpc
from tiara.v1 import configuration_pb2 as cf
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

BIN = Path(sys.executable).parent
CLIENTS = 4
SERVICES = 1000
BACKENDS = 100
PACKETS = 4096
LONG_S = 120.0
SIZES = {"connections": 65536, "services": 4096, "backends": 262144, "heap-mb": 1024}
EAL = ["--no-pci", "--no-huge", "--no-shconf", "-m", "256"]
GATEWAY, GATEWAY_MAC, PORT_MAC = "198.18.255.1", b"\2\0\0\0\1\1", b"\2pcap\0"
WATCHERS = 4
FAN_OUTS = 50

Raw = dict[str, Any]


def configuration(services: int, weight: int = 1) -> cf.Configuration:
    """So many services, each with a pool of its own; the last pool's last backend has this weight."""
    made = cf.Configuration(owner="bench")
    for number in range(services):
        pool = client.pool_name(f"p{number}")
        made.backend_pools.add(name=pool, forwarding_mode=bp.FORWARDING_MODE_IPIP)
        service = made.virtual_services.add(name=client.service_name(f"s{number}"), backend_pool=pool)
        service.frontends.add(address=vip(number), protocol=vs.PROTOCOL_UDP, port=53)
        for backend in range(BACKENDS):
            made.backends.add(
                name=client.backend_name(f"p{number}", f"b{backend}"),
                address=f"198.18.{number // 2 % 256}.{number % 2 * 100 + backend + 1}",
            )
    made.backends[-1].weight = weight
    return made


def vip(number: int) -> str:
    """Of a service."""
    return f"198.19.{number // 250}.{number % 250 + 1}"


def packets() -> bytes:
    """A pcap file: the gateway's ARP answer, then datagrams of as many clients to all services in turn."""
    file = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    addresses = GATEWAY_MAC + bytes(map(int, GATEWAY.split("."))) + PORT_MAC + bytes((198, 18, 255, 2))
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + addresses + bytes(18)
    frames = [PORT_MAC + GATEWAY_MAC + b"\10\6" + arp, *map(datagram, range(PACKETS))]
    for frame in frames:
        file += struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    return bytes(file)


def datagram(number: int) -> bytes:
    """A client's, by its number."""
    target = bytes(map(int, vip(number % SERVICES).split(".")))
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, 0, 0, 64, 17, 0, bytes((198, 18, 255, 7)), target)
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", 0xFFFF - (total & 0xFFFF) - (total >> 16)) + ip[12:]
    udp = struct.pack("!HHHH", 20_000 + number, 53, 26, 0) + bytes(18)
    return PORT_MAC + GATEWAY_MAC + b"\10\0" + ip + udp


@contextmanager
def instance(folder: Path) -> Iterator[grpc.Channel]:
    """Both daemons; the channel of an empty control plane."""
    name = f"bench-{os.getpid()}"
    (folder / "in.pcap").write_bytes(packets())
    device = f"--vdev=net_pcap0,infinite_rx=1,rx_pcap={folder}/in.pcap,tx_pcap=/dev/null"
    sizes = [f"--{key}={value}" for key, value in SIZES.items()]
    started = [
        [
            *("nice", "-n", "19", f"{BIN}/tiara-dataplane"),
            *(f"--instance={name}", "--io=eal", "--no-kernel", "--address=198.18.255.2/30"),
            *(f"--gateway={GATEWAY}", *sizes, "--", *EAL, device),
        ],
        [
            f"{BIN}/tiara-controlplane",
            f"--instance={name}",
            f"--listen=unix:{folder}/api.sock",
            f"--store={folder}/store.db",
        ],
    ]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "log").open("wb") as log:
            daemons += [subprocess.Popen(command, stdout=log, stderr=log) for command in started]
        with client.connect(f"unix:{folder}/api.sock") as channel:
            wait_live(channel, folder / "log", daemons)
            yield channel
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()
        for path in Path("/dev/shm").glob(f"tiara-{name}.*"):
            path.unlink()


def wait_live(channel: grpc.Channel, log: Path, daemons: list[subprocess.Popen[bytes]]) -> None:
    """Until workers run."""
    stub = node_pb2_grpc.NodeServiceStub(channel)
    while all(daemon.poll() is None for daemon in daemons):
        with suppress(grpc.RpcError):
            if stub.GetNode(nd.GetNodeRequest()).workers_awake:
                return
        time.sleep(0.1)
    raise SystemExit(f"bench: control: a daemon has ended\n{log.read_text()}")


def wait_applied(channel: grpc.Channel) -> None:
    """Until packets see the newest revision."""
    request = nd.WaitAppliedRequest()
    request.timeout.FromSeconds(int(LONG_S))
    node_pb2_grpc.NodeServiceStub(channel).WaitApplied(request, timeout=LONG_S)


def row(name: str, values: list[float], **params: Any) -> Raw:
    """Times in microseconds."""
    shown = {"services": SERVICES, "backends": BACKENDS, **params}
    return {"id": name, "params": shown, "unit": "us", "values": values}


def since_us(start: float) -> float:
    """Of time.monotonic()."""
    return (time.monotonic() - start) * 1e6


# ---- whole configurations ----


def whole(channel: grpc.Channel, repeats: int) -> Iterator[Raw]:
    """The first apply, then plans and applies that find one weight changed among all."""
    stub = configuration_pb2_grpc.ConfigurationServiceStub(channel)
    yield row("apply.time", [apply(channel, 1)], measure="first")
    plans, applies = [], []
    for weight in range(2, repeats + 2):
        start = time.monotonic()
        request = cf.PlanConfigurationRequest(configuration=configuration(SERVICES, weight))
        plan = stub.PlanConfiguration(request, timeout=LONG_S)
        plans.append(since_us(start))
        if len(plan.changes) != 1 or not plan.counted:
            raise SystemExit(f"bench: plan.time: {len(plan.changes)} changes planned in place of one")
        applies.append(apply(channel, weight))
    yield row("plan.time", plans, measure="one changed")
    yield row("apply.time", applies, measure="one changed")


def apply(channel: grpc.Channel, weight: int) -> float:
    """Until packets see it."""
    stub = configuration_pb2_grpc.ConfigurationServiceStub(channel)
    start = time.monotonic()
    request = cf.ApplyConfigurationRequest(configuration=configuration(SERVICES, weight))
    stub.ApplyConfiguration(request, timeout=LONG_S)
    wait_applied(channel)
    return since_us(start)


# ---- single calls ----


def calls(address: str, seconds: float, seed: int, services: int, backends: int) -> dict[str, list[float]]:
    """One client: Get, List of a pool, Update, Update until packets see it; microseconds by kind."""
    drawn = random.Random(seed)
    took: dict[str, list[float]] = defaultdict(list)
    with client.connect(address) as channel:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            kind = drawn.choices(("get", "list", "update", "applied"), (60, 20, 15, 5))[0]
            pool, backend = f"p{drawn.randrange(services)}", f"b{drawn.randrange(backends)}"
            start = time.monotonic()
            call(channel, kind, pool, backend, drawn.randrange(2, 100))
            took[kind].append(since_us(start))
    return took


def call(channel: grpc.Channel, kind: str, pool: str, backend: str, weight: int) -> None:
    """One of a kind."""
    stub = backend_pool_pb2_grpc.BackendPoolServiceStub(channel)
    name = client.backend_name(pool, backend)
    if kind == "get":
        stub.GetBackend(bp.GetBackendRequest(name=name))
        return
    if kind == "list":
        stub.ListBackends(bp.ListBackendsRequest(parent=client.pool_name(pool), page_size=1000))
        return
    wanted = bp.Backend(name=name, weight=weight)
    stub.UpdateBackend(bp.UpdateBackendRequest(backend=wanted, update_mask=FieldMask(paths=["weight"])))
    if kind == "applied":
        wait_applied(channel)


def single(address: str, seconds: float, repeats: int) -> Iterator[Raw]:
    """api.read and api.write of all clients together."""
    quantiles: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for repeat in range(repeats):
        for kind, values in all_calls(address, seconds, repeat).items():
            name = "api.read" if kind in ("get", "list") else "api.write"
            cuts = statistics.quantiles(values, n=100)
            quantiles[name, kind, "p50"].append(cuts[49])
            quantiles[name, kind, "p99"].append(cuts[98])
    for (name, kind, quantile), values in sorted(quantiles.items()):
        yield row(name, values, measure=kind, quantile=quantile, clients=CLIENTS)


def all_calls(address: str, seconds: float, repeat: int) -> dict[str, list[float]]:
    """Every client is a process of its own."""
    running = []
    for number in range(CLIENTS):
        given = [address, seconds, repeat * CLIENTS + number, SERVICES, BACKENDS]
        command = [sys.executable, __file__, *map(str, given)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    took: dict[str, list[float]] = defaultdict(list)
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit("bench: control: a client has failed")
        for kind, values in json.loads(output).items():
            took[kind] += values
    return took


# ---- watches ----


class Watches:
    """So many readers of every change; `seen` has the revision that each has got to."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = configuration_pb2_grpc.ConfigurationServiceStub(channel)
        self._channel = channel
        self._changed = threading.Condition()
        self.seen = [0] * WATCHERS
        self._streams = [self._open(number) for number in range(WATCHERS)]

    def _open(self, number: int) -> Any:
        now = node_pb2_grpc.NodeServiceStub(self._channel).GetNode(nd.GetNodeRequest()).stored_revision
        stream = self._stub.Watch(cf.WatchRequest(after_revision=now))
        threading.Thread(target=self._read, args=(number, stream), daemon=True).start()
        return stream

    def _read(self, number: int, stream: Any) -> None:
        with suppress(grpc.RpcError):
            for response in stream:
                if response.HasField("synced"):
                    with self._changed:
                        self.seen[number] = response.revision
                        self._changed.notify_all()

    def wait(self, revision: int) -> None:
        """Until all have it."""
        with self._changed:
            if not self._changed.wait_for(lambda: min(self.seen) >= revision, LONG_S):
                raise SystemExit(f"bench: watch.fanout: revision {revision} has not come to all")

    def close(self) -> None:
        """Ends them."""
        for stream in self._streams:
            stream.cancel()


def fan_out(channel: grpc.Channel, watches: Watches) -> Iterator[Raw]:
    """From the call of an update until every watch has told of it."""
    stub = backend_pool_pb2_grpc.BackendPoolServiceStub(channel)
    took = []
    for number in range(FAN_OUTS):
        wanted = bp.Backend(name=client.backend_name("p0", "b0"), weight=number + 2)
        start = time.monotonic()
        mask = FieldMask(paths=["weight"])
        stored = stub.UpdateBackend(bp.UpdateBackendRequest(backend=wanted, update_mask=mask))
        watches.wait(stored.revision)
        took.append(since_us(start))
    yield row("watch.fanout", [statistics.median(took)], watches=WATCHERS, quantile="p50")


def check_traffic(channel: grpc.Channel) -> None:
    """Packets come, and have found every service."""
    request = nd.GetStatisticsRequest()
    statistics = node_pb2_grpc.NodeServiceStub(channel).GetStatistics(request, timeout=LONG_S)
    idle = [one.virtual_service for one in statistics.services if not one.connections_total]
    if idle or len(statistics.services) != SERVICES:
        raise SystemExit(f"bench: control: {len(idle)} services have had no packet, as {idle[:3]}")


def measure(seconds: float, repeats: int) -> Iterator[Raw]:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="tiara-bench-") as folder, instance(Path(folder)) as channel:
        yield from whole(channel, repeats)
        check_traffic(channel)
        watches = Watches(channel)
        yield from fan_out(channel, watches)
        yield from single(f"unix:{folder}/api.sock", seconds, repeats)
        watches.close()


if __name__ == "__main__":
    address, seconds, *numbers = sys.argv[1:]
    print(json.dumps(calls(address, float(seconds), *map(int, numbers))))
