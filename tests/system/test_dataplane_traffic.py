# SPDX-License-Identifier: Apache-2.0
"""What the data plane says on the link: ARP, ICMP echo, announcements, the own address, and no kernel."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from dataplane_probe import (
    Exchange,
    Mask,
    arp_from,
    arp_question,
    arp_request,
    checksum,
    echo_answer,
    echo_request,
    kernel_mac,
    mac_bytes,
    syn,
    with_tag,
)
from dataplane_world import SIZES, World, wait_for
from testbed.topology import (
    BALANCER_ADDRESS,
    CLIENT_ADDRESS,
    HTTP_PORT,
    SIDE_VIP,
    TCP_VIP,
    Topology,
    server_address,
)

LATE_ADDRESS = "198.18.0.77"
TAG = bytes.fromhex("81000007")


@pytest.fixture(params=["af_packet", "af_xdp"], scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A running data plane with one service on one server, in a namespace whose kernel would forward."""
    with Topology("test-dp-traffic", servers=1) as topology:
        world = World(topology, request.param)
        topology.run("balancer", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        world.start(*SIZES, f"--gateway={server_address(1)}")
        world.publish(server_address(1))
        yield world


def test_vip_is_answered_for_by_the_port(world: World) -> None:
    """ARP for a VIP: one answer, with the port's MAC, to who asked."""
    client = world.client_mac()
    answer = world.exchange(arp_from(TCP_VIP, 2), arp_request(client, CLIENT_ADDRESS, TCP_VIP))

    assert answer[:6] == mac_bytes(client)
    assert answer[22:28] == mac_bytes(world.port_mac())


def test_own_address_is_answered_for_by_the_kernel(world: World) -> None:
    """ARP for the own address: the kernel answers through the TAP, with a MAC of its own, and nobody else."""
    question = arp_request(world.client_mac(), CLIENT_ADDRESS, BALANCER_ADDRESS)
    listener = Exchange(world.topology, "client", arp_from(BALANCER_ADDRESS, 2), send=question, count=3)
    answers = [frame[22:28] for frame in listener.frames()]

    assert answers == [mac_bytes(kernel_mac(world.port_mac()))] * 3


@pytest.mark.parametrize("address", [TCP_VIP, BALANCER_ADDRESS])
def test_echo_is_answered(world: World, address: str) -> None:
    """ICMP echo to a VIP (by the data plane) and to the own address (by the kernel) comes back whole."""
    port = world.port_mac()
    mac = port if address == TCP_VIP else kernel_mac(port)
    question = echo_request(world.client_mac(), mac, CLIENT_ADDRESS, address, 4711)
    answer = world.exchange(echo_answer(address, 4711), question)

    assert answer[6:12] == mac_bytes(mac)
    assert checksum(answer[14:34]) == 0
    assert checksum(answer[34:]) == 0
    assert answer[38:] == question[38:]


def test_tcp_goes_through_the_vip_and_the_own_address(world: World) -> None:
    """A client reaches the server by the VIP; a health check of this host reaches it by the TAP."""
    assert world.get("client", TCP_VIP) == "b1"
    assert world.get("balancer", server_address(1)) == "b1"


def test_kernel_forwards_nothing(world: World) -> None:
    """Though forwarding is on in the namespace and it has a default route, the kernel stays deaf."""
    for _ in range(3):
        assert world.get("client", TCP_VIP) == "b1"
    snmp = world.topology.run("balancer", "cat", "/proc/net/snmp").splitlines()
    counters = dict(zip(snmp[0].split()[1:], map(int, snmp[1].split()[1:]), strict=True))

    assert world.topology.run("balancer", "ip", "route", "show", "default").startswith("default via")
    assert counters["Forwarding"] == 1
    assert counters["ForwDatagrams"] == 0


@pytest.fixture
def tagging(world: World) -> World:
    """The same world, where tags are on the wire."""
    # else the veth pair carries the tag beside the frame, where XDP cannot see it
    for role in ("client", "balancer", "b1"):
        world.topology.run("switch", "ethtool", "-K", role, "txvlan", "off")
    return world


def test_tag_is_kept_in_an_answer(tagging: World) -> None:
    """ARP for a VIP under a tag: answered under the same tag; a driver that strips tags changes nothing."""
    question = arp_request(tagging.client_mac(), CLIENT_ADDRESS, TCP_VIP)
    answered = [Mask(12, TAG), *(Mask(mask.offset + 4, mask.data) for mask in arp_from(TCP_VIP, 2))]
    answer = tagging.exchange(answered, with_tag(question, 7))

    assert answer[:6] == mac_bytes(tagging.client_mac())
    assert answer[26:32] == mac_bytes(tagging.port_mac())


def test_tag_is_kept_on_the_way_to_a_server(tagging: World) -> None:
    """A tagged packet for a VIP arrives at the server under the same tag, whole."""
    client = (CLIENT_ADDRESS, 47000)
    packet = syn(tagging.client_mac(), tagging.port_mac(), client, (TCP_VIP, HTTP_PORT))
    wanted = [Mask(12, TAG + b"\x08\0"), Mask(34, socket.inet_aton(TCP_VIP))]
    listener = Exchange(tagging.topology, "b1", wanted)
    Exchange(tagging.topology, "client", arp_from(TCP_VIP, 9), send=with_tag(packet, 7), wait_s=1).frames()
    (arrived,) = listener.frames()

    assert arrived[6:12] == mac_bytes(tagging.port_mac())
    assert arrived[12 : len(packet) + 4] == with_tag(packet, 7)[12:]


def test_two_tags_have_their_verdict(tagging: World) -> None:
    """What has two 802.1Q tags ends as vlan."""
    question = with_tag(with_tag(arp_request(tagging.client_mac(), CLIENT_ADDRESS, TCP_VIP), 7), 8)
    before = tagging.verdicts()
    Exchange(tagging.topology, "client", arp_from(TCP_VIP, 2), send=question, wait_s=1).frames()
    wait_for("the verdict vlan", lambda: tagging.verdicts()["vlan"] > before["vlan"])

    assert tagging.verdicts()["arp_answered"] == before["arp_answered"]


def test_new_vip_is_announced_three_times(world: World) -> None:
    """A VIP that appears, and every VIP after a restart: three requests for itself by the port's MAC."""
    listener = Exchange(world.topology, "client", arp_from(SIDE_VIP, 1), count=3)
    world.publish(server_address(1), vip=SIDE_VIP)
    new = listener.frames()
    listener = Exchange(world.topology, "client", arp_from(TCP_VIP, 1), count=3)
    world.stop(signal.SIGKILL)
    world.start(f"--gateway={server_address(1)}")
    again = listener.frames()

    for vip_frames in (new, again):
        assert len(vip_frames) == 3
        for frame in vip_frames:
            assert frame[:6] == b"\xff" * 6
            assert frame[6:12] == frame[22:28] == mac_bytes(world.port_mac())
            assert frame[28:32] == frame[38:42]


def test_backend_that_comes_up_late_is_found(world: World) -> None:
    """A backend nobody answers for is asked for again and again by the own address, until it is there."""
    listener = Exchange(world.topology, "client", arp_question(LATE_ADDRESS), count=4)
    world.publish(LATE_ADDRESS)
    asked = listener.frames()

    assert len(asked) == 4
    for frame in asked:
        assert frame[6:12] == frame[22:28] == mac_bytes(kernel_mac(world.port_mac()))
    world.topology.run("b1", "ip", "addr", "add", f"{LATE_ADDRESS}/24", "dev", "eth0")
    assert world.get("client", TCP_VIP) == "b1"
