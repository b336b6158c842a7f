# SPDX-License-Identifier: Apache-2.0
"""The API of a whole instance that carries 1000 services of 100 backends: how long calls take.

Both daemons run. The data plane reads the same packets over and over, as fast as it can, so on two cores
it takes one; four clients, each a process, share the other with the control plane.
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
    """A pcap file: datagrams of as many clients to all services in turn."""
    file = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for number in range(PACKETS):
        target = bytes(map(int, vip(number % SERVICES).split(".")))
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, 0, 0, 64, 17, 0, bytes((198, 18, 255, 7)), target)
        total = sum(struct.unpack("!10H", ip))
        total = (total & 0xFFFF) + (total >> 16)
        ip = ip[:10] + struct.pack("!H", 0xFFFF - (total & 0xFFFF) - (total >> 16)) + ip[12:]
        frame = b"\2pcap\0" + b"\2\0\0\0\1\1" + b"\10\0" + ip
        frame += struct.pack("!HHHH", 20_000 + number, 53, 26, 0) + bytes(18)
        file += struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    return bytes(file)


@contextmanager
def instance(folder: Path) -> Iterator[grpc.Channel]:
    """Both daemons; the channel of an empty control plane."""
    name = f"bench-{os.getpid()}"
    (folder / "in.pcap").write_bytes(packets())
    device = f"--vdev=net_pcap0,infinite_rx=1,rx_pcap={folder}/in.pcap,tx_pcap=/dev/null"
    sizes = [f"--{key}={value}" for key, value in SIZES.items()]
    started = [
        [BIN / "tiara-dataplane", f"--instance={name}", "--io=eal", "--no-kernel", *sizes, "--", *EAL, device],
        [
            BIN / "tiara-controlplane",
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


def calls(address: str, seconds: float, seed: int) -> dict[str, list[float]]:
    """One client: Get, List of a pool's 100 backends, Update, Update until packets see it; microseconds."""
    drawn = random.Random(seed)
    took: dict[str, list[float]] = defaultdict(list)
    with client.connect(address) as channel:
        stub = backend_pool_pb2_grpc.BackendPoolServiceStub(channel)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pool, backend = f"p{drawn.randrange(SERVICES)}", f"b{drawn.randrange(BACKENDS)}"
            kind = drawn.choices(("get", "list", "update", "applied"), (60, 20, 15, 5))[0]
            start = time.monotonic()
            if kind == "get":
                stub.GetBackend(bp.GetBackendRequest(name=client.backend_name(pool, backend)))
            elif kind == "list":
                stub.ListBackends(bp.ListBackendsRequest(parent=client.pool_name(pool), page_size=1000))
            else:
                wanted = bp.Backend(name=client.backend_name(pool, backend), weight=drawn.randrange(1, 100))
                stub.UpdateBackend(
                    bp.UpdateBackendRequest(backend=wanted, update_mask=FieldMask(paths=["weight"]))
                )
                if kind == "applied":
                    wait_applied(channel)
            took[kind].append(since_us(start))
    return took


def single(address: str, seconds: float, repeats: int) -> Iterator[Raw]:
    """api.read and api.write of all clients together."""
    quantiles: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for repeat in range(repeats):
        took = all_calls(address, seconds, repeat)
        for kind, values in took.items():
            name = "api.read" if kind in ("get", "list") else "api.write"
            cuts = statistics.quantiles(values, n=100)
            quantiles[name, kind, "p50"].append(cuts[49])
            quantiles[name, kind, "p99"].append(cuts[98])
    for (name, kind, quantile), values in sorted(quantiles.items()):
        yield row(name, values, measure=kind, quantile=quantile, clients=CLIENTS)


def all_calls(address: str, seconds: float, repeat: int) -> dict[str, list[float]]:
    """Every client is a process of its own."""
    commands = [
        [sys.executable, __file__, address, str(seconds), str(repeat * CLIENTS + number)]
        for number in range(CLIENTS)
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    took: dict[str, list[float]] = defaultdict(list)
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit("bench: control: a client has failed")
        for kind, values in json.loads(output).items():
            took[kind] += values
    return took


def measure(seconds: float, repeats: int) -> Iterator[Raw]:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="tiara-bench-") as folder:
        with instance(Path(folder)) as channel:
            yield from whole(channel, repeats)
            yield from single(f"unix:{folder}/api.sock", seconds, repeats)


if __name__ == "__main__":
    print(json.dumps(calls(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
