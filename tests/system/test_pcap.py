# SPDX-License-Identifier: Apache-2.0
"""A pcap file in, a pcap file out: clients' packets as recorded, and what scapy finds they became."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from dataplane_world import SIZES, World, wait_for
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet
from scapy.utils import rdpcap, wrpcap
from testbed.topology import CLIENT_ADDRESS, TCP_VIP, Topology, server_address

ROUTER = "02:00:00:00:01:01"
PCAP_PORT = "02:70:63:61:70:00"
BACKENDS = {f"02:00:00:00:00:1{number}": server_address(number) for number in (1, 2)}
EAL = ["--io=eal", "--idle=sleep", "--no-kernel", "--", "--no-pci", "--no-huge", "--no-shconf", "-m", "256"]
CLIENTS = 200


@pytest.fixture
def world() -> Iterator[World]:
    """A data plane that has one service on two backends and knows their MACs; it does not run."""
    with Topology("test-pcap", servers=1) as topology:
        world = World(topology, "af_packet")
        run = Run(world, "arp", [backends_answers()], again=True)
        world.publish(*BACKENDS.values())
        wait_for("the neighbours", lambda: world.verdicts()["arp_learned"] >= len(BACKENDS) * 10)
        run.end()
        assert world.port_mac() == PCAP_PORT
        yield world


class Run:
    """One start on pcap files: a worker for each list of packets. `again`: they come over and over."""

    def __init__(self, world: World, name: str, queues: list[list[Packet]], *, again: bool = False) -> None:
        self.world = world
        device = ["--vdev=net_pcap0", *["infinite_rx=1"] * again]
        self.outs = []
        for number, packets in enumerate(queues):
            path = world.topology.folder / f"{name}-{number}"
            wrpcap(f"{path}-in.pcap", packets)
            device.append(f"rx_pcap={path}-in.pcap,tx_pcap={path}-out.pcap")
            self.outs.append(f"{path}-out.pcap")
        world.start(*SIZES, f"--workers={len(queues)}", *EAL, ",".join(device))

    def end(self) -> list[list[Packet]]:
        """Stops it; what it sent, by queue, each read from its bytes."""
        assert self.world.stop() == 0
        return [[Ether(bytes(packet)) for packet in rdpcap(out)] for out in self.outs]


def backends_answers() -> list[Packet]:
    """The backends answer the resolver."""
    return [
        Ether(src=mac, dst=PCAP_PORT) / ARP(op=2, psrc=address, hwsrc=mac, hwdst=PCAP_PORT)
        for mac, address in BACKENDS.items()
    ]


def from_client(number: int, flags: str = "S") -> Packet:
    """A client's packet; each tenth is tagged, each seventh has IP options, some have data."""
    ether = Ether(src=ROUTER, dst=PCAP_PORT)
    if number % 10 == 0:
        ether /= Dot1Q(vlan=7, prio=3)
    options = [b"\1" * 4] if number % 7 == 0 else []
    ip = IP(src=CLIENT_ADDRESS, dst=TCP_VIP, id=number, ttl=9, options=options)
    data = b"x" * (number % 50)
    made: Packet = ether / ip / TCP(sport=20000 + number, dport=80, flags=flags, seq=number) / data
    return made


def backend_of(packet: Packet) -> str:
    """The backend that a sent frame is for."""
    return BACKENDS[packet[Ether].dst]


def forwarded(packets: list[Packet]) -> dict[int, Packet]:
    """Sent packets for the VIP by their client."""
    return {p[TCP].sport - 20000: p for p in packets if TCP in p and p[IP].dst == TCP_VIP}


def test_clients_in_backends_out(world: World) -> None:
    """Each packet leaves once, byte for byte but for its MACs, and clients spread over both backends."""
    sent = [from_client(number) for number in range(CLIENTS)]
    before = world.verdicts()["forwarded"]
    run = Run(world, "clients", [sent])
    wait_for("all clients", lambda: world.verdicts()["forwarded"] - before >= CLIENTS)
    (packets,) = run.end()
    got = forwarded(packets)

    assert sorted(got) == list(range(CLIENTS))
    assert sum(TCP in packet for packet in packets) == CLIENTS
    for number, packet in got.items():
        assert packet[Ether].src == PCAP_PORT
        assert bytes(packet)[12:] == bytes(sent[number])[12:], packet.summary()
        assert (Dot1Q in packet) == (number % 10 == 0)
    shares = Counter(backend_of(packet) for packet in got.values())
    assert set(shares) == set(BACKENDS.values())
    assert min(shares.values()) > CLIENTS / 4


def test_questions_are_answered(world: World) -> None:
    """ARP and ICMP echo for the VIP, one tagged: the answers are sound by scapy; a bad checksum has none."""
    echo = IP(src=CLIENT_ADDRESS, dst=TCP_VIP) / ICMP(id=7, seq=9) / b"hello"
    bad = IP(src=CLIENT_ADDRESS, dst=TCP_VIP, chksum=1) / ICMP(id=8) / b"hello"
    ask = Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff")
    sent: list[Packet] = [
        ask / Dot1Q(vlan=5) / ARP(op=1, psrc=CLIENT_ADDRESS, hwsrc=ROUTER, pdst=TCP_VIP),
        Ether(src=ROUTER, dst=PCAP_PORT) / bad,
        Ether(src=ROUTER, dst=PCAP_PORT) / echo,
    ]
    before = world.verdicts()["icmp_answered"]
    run = Run(world, "questions", [sent])
    wait_for("the echo's answer", lambda: world.verdicts()["icmp_answered"] > before)
    (packets,) = run.end()
    (arp,) = [packet for packet in packets if ARP in packet and packet[ARP].op == 2]
    (ping,) = [packet for packet in packets if ICMP in packet]

    assert (arp[Dot1Q].vlan, arp[ARP].psrc, arp[ARP].hwsrc) == (5, TCP_VIP, PCAP_PORT)
    assert (ping[Ether].dst, ping[IP].src, ping[IP].dst) == (ROUTER, TCP_VIP, CLIENT_ADDRESS)
    assert (ping[ICMP].type, ping[ICMP].id, ping[ICMP].seq, ping[ICMP].load) == (0, 7, 9, b"hello")
    for packet in (ping[IP], ping[ICMP]):
        right = packet.copy()
        del right.chksum
        assert bytes(right) == bytes(packet)


def test_frame_longer_than_a_buffer(world: World) -> None:
    """What comes in several buffers and fits none is truncated to the path; the next packet goes."""
    ip = IP(src=CLIENT_ADDRESS, dst=TCP_VIP) / TCP(sport=19999, dport=80, flags="A") / (b"j" * 4000)
    before = world.verdicts()
    run = Run(world, "jumbo", [[Ether(src=ROUTER, dst=PCAP_PORT) / ip, from_client(1)]])
    wait_for("the packet behind it", lambda: world.verdicts()["forwarded"] > before["forwarded"])
    (packets,) = run.end()

    assert world.verdicts()["truncated"] == before["truncated"] + 1
    assert list(forwarded(packets)) == [1]


def test_one_connection_on_two_queues(world: World) -> None:
    """A port that spreads packets without looking: both workers send a connection to one backend."""
    queues = [[from_client(number, flags) for number in range(CLIENTS)] for flags in ("S", "PA")]
    before = world.verdicts()["forwarded"]
    run = Run(world, "spread", queues)
    wait_for("both queues", lambda: world.verdicts()["forwarded"] - before >= 2 * CLIENTS)
    opened, went_on = (forwarded(packets) for packets in run.end())

    assert len(opened) == len(went_on) == CLIENTS
    assert {n: backend_of(p) for n, p in opened.items()} == {n: backend_of(p) for n, p in went_on.items()}
