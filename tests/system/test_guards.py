# SPDX-License-Identifier: Apache-2.0
"""What the data plane refuses to start with: one sentence, the remedy in it, nothing touched."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator

import pytest
from dataplane_world import SIZES, World
from testbed.topology import Topology, segment_files

EAL = ["--io=eal", "--idle=sleep", "--", "--no-pci"]
WITHOUT_HUGE_PAGES = ["--no-huge", "--no-shconf", "-m", "256"]


@pytest.fixture
def world() -> Iterator[World]:
    """A balancer whose interface has two queues."""
    with Topology("test-guards", servers=1, queues=2) as topology:
        yield World(topology, "af_packet")


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that is not EAL's; whatever it is, it begins with the program's name."""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("EAL: ")]
    assert line.startswith("tiara-dataplane: ")
    return line.removeprefix("tiara-dataplane: ")


def run_without(world: World, capability: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs it as root without one capability."""
    command = ["setpriv", f"--bounding-set=-{capability}", *world.command(*SIZES, *arguments)]
    command = world.topology.command("balancer", *command)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def run_where(world: World, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs it in a mount namespace of its own, after a shell script has changed that."""
    shell = ["unshare", "--mount", "sh", "-ec", f'{script}\nexec "$@"', "sh"]
    command = world.topology.command("balancer", *shell, *world.command(*SIZES, *arguments))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(
    ("io", "capability"),
    [
        ("af_packet", "net_raw"),
        ("af_packet", "net_admin"),
        ("af_xdp", "net_raw"),
        ("af_xdp", "net_admin"),
        ("af_xdp", "sys_admin,-bpf"),
        ("af_xdp", "ipc_lock"),
    ],
)
def test_missing_privilege_is_named(world: World, io: str, capability: str) -> None:
    """Each capability that a port needs: its name, and three ways to give it; no segment was made."""
    done = run_without(world, capability, f"--io={io}:eth0", "--workers=2")
    name = capability.partition(",")[0].upper()

    assert done.returncode == 1
    assert sentence(done) == (
        f"--io {io}:eth0: this process lacks the capability {name}; run it as root, or give it CAP_{name} "
        "(setcap, AmbientCapabilities=, cap_add:)"
    )
    assert segment_files(world.topology.name) == []


def test_not_root_is_one_sentence(world: World) -> None:
    """Somebody who may nothing is told the first of it."""
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *world.command()]
    command = world.topology.command("balancer", *command)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 1
    assert "this process lacks the capability NET_RAW; run it as root" in sentence(done)


def test_tap_needs_a_privilege_too(world: World) -> None:
    """Any port: without NET_ADMIN there is no TAP, and --no-kernel is the other way."""
    done = run_without(world, "net_admin", *EAL, *WITHOUT_HUGE_PAGES, "--vdev=net_null0")

    assert done.returncode == 1
    assert sentence(done).startswith("--kernel-interface: this process lacks the capability NET_ADMIN")
    assert sentence(done).endswith("or give --no-kernel")


def test_no_port_is_one_sentence(world: World) -> None:
    """EAL without any port: how to have one."""
    done = world.run(*SIZES, *EAL, *WITHOUT_HUGE_PAGES)

    assert done.returncode == 2
    assert sentence(done).startswith("--io: EAL found no port; bind a NIC to a DPDK driver")


def test_port_with_fewer_queues_than_workers(world: World) -> None:
    """A pcap port with one file has one queue: two workers are refused, with both numbers."""
    folder = world.topology.folder
    (folder / "in.pcap").write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    port = f"--vdev=net_pcap0,rx_pcap={folder}/in.pcap,tx_pcap={folder}/out.pcap"
    done = world.run(*SIZES, "--workers=2", *EAL, *WITHOUT_HUGE_PAGES, port)

    assert done.returncode == 2
    assert sentence(done) == (
        "--workers: 2 workers need a queue each, but the port (net_pcap) has 1; give at most that many"
    )


def test_af_xdp_with_queues_that_no_worker_serves(world: World) -> None:
    """Frames at a queue without a worker would go to the kernel: refused, with both remedies."""
    done = world.run(*SIZES, "--io=af_xdp:eth0")

    assert done.returncode == 2
    assert sentence(done) == (
        "--workers: eth0 has 2 queues, and af_xdp gets nothing of those without a worker; give 2, or lower "
        "them with `ethtool -L`"
    )


@pytest.mark.parametrize(
    ("free", "remedy"),
    [
        (0, "none is free; reserve some (`sysctl vm.nr_hugepages=512`)"),
        (64, "no hugetlbfs is mounted; give --in-memory after --"),
    ],
)
def test_missing_huge_pages(world: World, free: int, remedy: str) -> None:
    """A port of EAL's uses huge pages unless told otherwise: what is missing, and how to do without."""
    script = f"""
        mount -t tmpfs none /sys/kernel/mm/hugepages
        cd /sys/kernel/mm/hugepages
        mkdir hugepages-2048kB
        for i in nr free resv surplus; do echo 0 > hugepages-2048kB/${{i}}_hugepages; done
        for i in nr free; do echo {free} > hugepages-2048kB/${{i}}_hugepages; done
        umount -a -t hugetlbfs
        cd /
    """
    done = run_where(world, script, *EAL, "--vdev=net_null0")

    assert done.returncode == 2
    assert sentence(done) == (
        f"EAL did not start: it was to use huge pages and {remedy}, or do without: "
        "--no-huge --no-shconf -m 256"
    )


def test_any_default_route_spares_its_interface(world: World) -> None:
    """The second of two default routes counts as the first does."""
    for device, metric in (("spare0", 5), ("eth0", 50)):
        if device != "eth0":
            world.topology.run("balancer", "ip", "link", "add", device, "type", "bridge")
        world.topology.run("balancer", "ip", "link", "set", device, "up")
        world.topology.run("balancer", "ip", "route", "add", "default", "dev", device, "metric", str(metric))
    done = world.run(*SIZES)

    assert done.returncode == 2
    assert sentence(done).startswith("--io af_packet:eth0: eth0 carries the default route")
    assert "--take-interface" in sentence(done)
    assert segment_files(world.topology.name) == []
