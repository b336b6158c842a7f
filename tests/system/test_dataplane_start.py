# SPDX-License-Identifier: Apache-2.0
"""Start, end and restart of the data plane: one owner, sizes that stay, interfaces that are spared."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest
from dataplane_world import SIZES, World, wait_for
from testbed.topology import BALANCER_ADDRESS, PREFIX_BITS, TCP_VIP, Topology, segment_files, server_address


@pytest.fixture
def world() -> Iterator[World]:
    """A balancer without a data plane yet."""
    with Topology("test-dp-start", servers=1) as topology:
        yield World(topology, "af_packet")


def test_start_says_what_it_has(world: World) -> None:
    """Four lines: the segment, the port, the kernel's side, ready."""
    world.start(*SIZES)

    lines = world.log().strip().splitlines()
    patterns = [
        r"segment  /\S*tiara-test-dp-start\.segment, (4 KiB|2 MiB) pages, 4096 connections, created",
        r"port     net_af_packet eth0, MAC ([0-9a-f]{2}:){5}[0-9a-f]{2}, MTU 1600, 1 worker, idle: sleep",
        rf"kernel   tiara0, {re.escape(BALANCER_ADDRESS)}/{PREFIX_BITS}",
        r"ready    after \d+ ms",
    ]
    assert [bool(re.fullmatch(p, line)) for p, line in zip(patterns, lines, strict=True)] == [True] * 4


def test_second_data_plane_is_refused_and_disturbs_nothing(world: World) -> None:
    """One segment, one data plane; the interface of the first is not touched."""
    world.start(*SIZES)
    links = world.topology.run("balancer", "ip", "-br", "link")
    second = world.run("--kernel-interface=second0")

    assert second.returncode == 1
    assert second.stderr.startswith("tiara-dataplane: another tiara-dataplane runs on /")
    assert second.stderr.count("\n") == 1
    assert world.topology.run("balancer", "ip", "-br", "link") == links
    assert world.topology.exit_status("dataplane") is None


def test_end_by_signal_leaves_only_the_segment(world: World) -> None:
    """SIGTERM and SIGINT: exit 0, the TAP is gone, no worker is online, the role is free."""
    for sig in (signal.SIGTERM, signal.SIGINT):
        world.start()
        assert "tiara0" in world.topology.run("balancer", "ip", "-br", "link")
        assert world.stop(sig) == 0
        assert "tiara0" not in world.topology.run("balancer", "ip", "-br", "link")
        segment = world.segment()
        assert (segment.info.dataplane_live, segment.info.worker_online) == (False, 0)
        segment.detach()


@pytest.mark.parametrize(
    ("argument", "had"),
    [("--connections=9000", "4096"), ("--services=65", "64"), ("--backends=63", "64"), ("--heap-mb=9", "8")],
)
def test_other_sizes_than_the_segment_has_are_refused(world: World, argument: str, had: str) -> None:
    """Both sizes and both remedies are said; the same sizes, and none, adopt it."""
    world.start(*SIZES)
    world.stop()
    done = world.run(*SIZES, argument)
    name, asked = argument.split("=")

    assert done.returncode == 2
    assert done.stderr.startswith(f"tiara-dataplane: {name}: {asked} was asked for, but /")
    assert f"was made with {had}; drop the argument" in done.stderr
    assert "or remove the file" in done.stderr
    world.start(*SIZES)
    world.stop()
    world.start()
    assert world.log().count(", adopted\n") == 2


def test_kill_and_restart_adopt_everything(world: World) -> None:
    """kill -9: the next start works at once, on the same segment, with the configuration it had."""
    world.start(*SIZES)
    world.publish(server_address(1))
    assert world.get("client", TCP_VIP) == "b1"
    before = world.segment()
    for _ in range(3):
        world.stop(signal.SIGKILL)
        world.start()
        assert world.get("client", TCP_VIP) == "b1"
    after = world.segment()

    assert after.info.created_ns == before.info.created_ns
    assert after.info.generation == before.info.generation
    assert after.info.start_cnt == before.info.start_cnt + 3
    assert after.info.start_ns < after.info.first_forward_ns
    assert after.connections_count().live == 4
    before.detach()
    after.detach()


def test_killed_af_xdp_leaves_nothing_in_the_way(world: World) -> None:
    """The XDP program that a kill -9 leaves on the interface is taken off by the next start."""
    xdp = World(world.topology, "af_xdp")
    xdp.start(*SIZES)
    xdp.publish(server_address(1))
    xdp.stop(signal.SIGKILL)
    assert "prog/xdp" in world.topology.run("balancer", "ip", "link", "show", "eth0")
    world.start()

    assert "prog/xdp" not in world.topology.run("balancer", "ip", "link", "show", "eth0")
    assert world.get("client", TCP_VIP) == "b1"
    world.stop(signal.SIGKILL)
    xdp.start()
    assert world.get("client", TCP_VIP) == "b1"


def test_interface_with_an_address_is_spared(world: World) -> None:
    """An IPv4 address or the default route keeps an interface from being taken; --take-interface takes it."""
    world.topology.run("balancer", "ip", "addr", "add", "198.18.9.1/24", "dev", "eth0")
    addressed = world.run(*SIZES)
    world.topology.run("balancer", "ip", "route", "add", "default", "via", "198.18.9.2")
    routed = world.run(*SIZES)

    assert (addressed.returncode, routed.returncode) == (2, 2)
    assert "--io af_packet:eth0: eth0 has an IPv4 address" in addressed.stderr
    assert "--io af_packet:eth0: eth0 carries the default route" in routed.stderr
    assert "--take-interface" in addressed.stderr
    assert "--take-interface" in routed.stderr
    assert segment_files(world.topology.name) == []
    world.start(*SIZES, "--take-interface")


def test_jumbo_frames_are_carried_and_larger_ones_refused(world: World) -> None:
    """The interface's MTU is the port's, up to 9,216 bytes."""
    set_mtu = ["ip", "link", "set", "eth0", "mtu"]
    world.topology.run("balancer", *set_mtu, "9217")
    done = world.run(*SIZES)
    world.topology.run("balancer", *set_mtu, "9216")
    world.start(*SIZES)
    world.publish(server_address(1))

    assert done.returncode == 2
    assert "--io af_packet:eth0: eth0 has an MTU of 9217 bytes and up to 9216 are carried" in done.stderr
    assert "MTU 9216," in world.log()
    assert world.get("client", TCP_VIP) == "b1"


def test_kernel_interface_in_use_is_named(world: World) -> None:
    """A TAP that another process has, and an interface that is no TAP, are not taken."""
    world.topology.run("balancer", "ip", "link", "add", "tiara0", "type", "bridge")
    done = world.run(*SIZES)

    assert done.returncode == 2
    assert "--kernel-interface: tiara0 is in use" in done.stderr
    world.start("--kernel-interface=tiara7")
    assert "tiara7" in world.topology.run("balancer", "ip", "-br", "link")


def test_more_workers_than_queues_or_slots_are_refused(world: World) -> None:
    """af_xdp has the interface's queues; a segment has room for the workers it was made for."""
    xdp = World(world.topology, "af_xdp").run(*SIZES, "--workers=2")
    world.start(*SIZES)
    world.stop()
    slots = world.run("--workers=8")

    assert xdp.returncode == 2
    assert "--workers: 2 workers need a queue each, but eth0 has 1" in xdp.stderr
    assert slots.returncode == 2
    assert "--workers: 8 was asked for" in slots.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers=3"],
        ["--workers=2", "--idle=poll"],
        ["--io=eal", "--idle=sleep", "--", "--vdev=net_af_packet0,iface=eth0", "--no-pci", "--no-huge"],
    ],
    ids=["sleep", "poll", "eal"],
)
def test_other_workers_and_ports_forward_as_well(world: World, arguments: list[str]) -> None:
    """Several workers, workers that poll, and a port that EAL's arguments give: traffic goes through."""
    world.start(*SIZES, *arguments)
    world.publish(server_address(1))

    assert [world.get("client", TCP_VIP) for _ in range(5)] == ["b1"] * 5
    assert world.get("balancer", server_address(1)) == "b1"
    assert world.verdicts()["forwarded"] >= 5 * 4
    assert world.stop() == 0


def test_without_the_kernel_there_is_no_tap(world: World) -> None:
    """--no-kernel: no TAP; what is for the own address is dropped under a name."""
    world.start(*SIZES, "--no-kernel")

    assert "tiara0" not in world.topology.run("balancer", "ip", "-br", "link")
    command = ["bash", "-c", f"echo > /dev/tcp/{BALANCER_ADDRESS}/80 || true"]
    client = world.topology.start("asker", "client", *command)
    wait_for("the verdict kernel_full", lambda: world.verdicts()["kernel_full"] > 0)
    client.wait(30)
