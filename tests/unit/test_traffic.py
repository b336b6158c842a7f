# SPDX-License-Identifier: Apache-2.0
"""`tiara traffic` without a network: scripts to packets, the checker on made-up captures, arguments."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from tiara import pcap
from tiara.traffic import script
from tiara.traffic.__main__ import cli
from tiara.traffic.checker import CheckError, Received, check
from tiara.traffic.link import parse_own_networks
from tiara.traffic.packets import Client, Macs, frames
from tiara.traffic.script import Connection, Frontend
from tiara.traffic.wire import segments

GOLDEN = Path(__file__).parent / "golden"
BACKENDS = {"b1": ("02:00:00:00:00:11", "198.18.0.11"), "b2": ("02:00:00:00:00:12", "198.18.0.12")}
BALANCER_MAC = Macs().to
SCRIPT = """
clients: 198.18.0.64/26
groups:
  - frontends: tcp:198.18.100.1:80
    connections: 6
    packets: handshake data*3 fin
  - frontends: udp:198.18.100.2:5300
    connections: 4
    packets: data*6
"""

Frames = list[tuple[int, bytes]]


def sent_frames(path: Path, text: str = SCRIPT) -> Frames:
    """What this script sends."""
    path.write_text(text)
    return list(frames(script.load(path), Macs()))


@pytest.fixture
def sent(tmp_path: Path) -> Frames:
    """60 packets of 10 connections."""
    return sent_frames(tmp_path / "clients.yaml")


# ---- scripts to packets


def run(*arguments: str | Path) -> Result:
    """Runs the program in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_golden_bytes(tmp_path: Path) -> None:
    """The committed script gives the committed capture, byte for byte."""
    assert run("run", GOLDEN / "traffic.yaml", "--pcap", tmp_path / "out.pcap").exit_code == 0
    assert (tmp_path / "out.pcap").read_bytes() == (GOLDEN / "traffic.pcap").read_bytes()


def test_another_seed_gives_other_packets(tmp_path: Path) -> None:
    """And the same seed the same, whatever was generated before."""
    files = [tmp_path / name for name in ("a.pcap", "b.pcap", "c.pcap")]
    for file, seed in zip(files, ("8", "9", "8"), strict=True):
        assert run("run", GOLDEN / "traffic.yaml", "--pcap", file, "--seed", seed).exit_code == 0
    a, b, c = (file.read_bytes() for file in files)

    assert a == c != b


def test_packets_are_what_the_script_says() -> None:
    """Of the golden capture: flags, checksums, numbers, payload and pace of each packet."""
    by_connection = defaultdict(list)
    for number, (time_ns, frame) in enumerate(pcap.read(GOLDEN / "traffic.pcap")):
        assert time_ns == number * 2_000_000
        packet = Ether(frame)
        rebuilt = Ether(frame)
        del rebuilt[IP].chksum
        del rebuilt[IP].payload.chksum
        assert bytes(rebuilt) == frame
        by_connection[str(next(segments(frame)).key)].append(packet[IP])
    flags = sorted(
        "".join(str(p[TCP].flags) + " " for p in ps) for ps in by_connection.values() if TCP in ps[0]
    )
    udp = [[bytes(p[UDP].payload) for p in ps] for ps in by_connection.values() if UDP in ps[0]]

    assert flags == ["S "] * 2 + ["S A PA PA FA "] * 3 + ["S A PA RA "]
    assert [[len(data) for data in each] for each in udp] == [[20] * 3] * 2
    assert len({data for each in udp for data in each}) == 6
    assert {str(key) for key in by_connection if ":400" in key.split(" ")[0]} == {
        "198.18.0.9:4000 -> tcp:198.18.100.1:80",
        "198.18.0.9:4001 -> tcp:198.18.100.1:80",
    }
    for packets in by_connection.values():
        assert [packet.id for packet in packets] == list(range(1, len(packets) + 1))


def test_sequence_numbers_go_on() -> None:
    """SYN and FIN take a number, data its length: what a server's TCP would accept."""
    connection = Connection(
        0, "198.18.0.70", 4000, Frontend("tcp", "198.18.100.1", 80), script.steps("handshake data*2 fin ack"),
        10, "", 0xFFFFFFF0, 5,
    )  # fmt: skip
    client = Client(connection)
    sequence = [Ether(client.frame(at, Macs()))[TCP].seq for at in range(6)]

    assert [(number - 0xFFFFFFF0) & 0xFFFFFFFF for number in sequence] == [0, 1, 1, 11, 21, 22]


def test_a_client_acknowledges_what_it_hears() -> None:
    """The server's SYN counts one, its data their length; an old answer takes nothing back."""
    target = Frontend("tcp", "198.18.100.1", 80)
    client = Client(Connection(0, "198.18.0.70", 4000, target, script.steps("syn ack*3"), 0, "", 1, 5))

    def hear(sequence: int, flags: str, data: bytes = b"") -> int:
        answer = Ether() / IP(src=target.address, dst="198.18.0.70") / TCP(
            sport=80, dport=4000, seq=sequence, flags=flags
        ) / data  # fmt: skip
        client.hear(next(segments(bytes(answer))))
        return int(Ether(client.frame(client.answers, Macs()))[TCP].ack)

    assert Ether(client.frame(0, Macs()))[TCP].ack == 0
    assert hear(1000, "SA") == 1001
    assert hear(1001, "PA", b"x" * 50) == 1051
    assert hear(1000, "SA") == 1051


def test_no_two_connections_share_a_tuple(tmp_path: Path) -> None:
    """All of a spread is used before a script is refused; other frontends are another spread."""
    text = """
groups:
  - frontends: [tcp:198.18.100.1:80, tcp:198.18.100.1:81]
    clients: 198.18.0.64/29
    ports: 1000-1004
    packets: syn
    connections: 60
"""
    found = sent_frames(tmp_path / "full.yaml", text)
    keys = {next(segments(frame)).key for _, frame in found}
    assert len(keys) == 60
    assert {key.source for key in keys} == {f"198.18.0.{last}" for last in range(65, 71)}
    with pytest.raises(script.ScriptError, match="more connections than its 30 client addresses and ports"):
        sent_frames(tmp_path / "over.yaml", text.replace("60", "61"))


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (3, 3), (0, 10)])
def test_connections_take_turns(tmp_path: Path, at_once: int, most: int) -> None:
    """at_once bounds how many connections are under way; 0: all are."""
    left = dict.fromkeys(range(10), 6)
    under_way: set[int] = set()
    peak = 0
    path = tmp_path / "turns.yaml"
    path.write_text(f"at_once: {at_once}\n{SCRIPT}")
    read = script.load(path)
    for connection, at in script.order(read, script.connections(read)):
        assert at == 6 - left[connection.number]
        left[connection.number] -= 1
        under_way.add(connection.number)
        peak = max(peak, len(under_way))
        if not left[connection.number]:
            under_way.remove(connection.number)

    assert peak == most
    assert not any(left.values())


GROUP = "clients: 198.18.0.64/26\ngroups:\n  - frontends: tcp:198.18.100.1:80\n    packets: syn\n"


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", ":1:", "is not a script"),
        ("[1, 2]", ":1:", "is not a script"),
        ("groups: [", ":1:", "is not YAML"),
        ("seed: 1\n", "groups:", "write at least one group"),
        ("groups: []\n", ":1: groups:", "write at least one group"),
        (f"sede: 1\n{GROUP}", ":1: sede:", "known are"),
        (f"seed: -1\n{GROUP}", ":1: seed:", "whole number from 0"),
        (f"rate: fast\n{GROUP}", ":1: rate:", "whole number from 1"),
        (GROUP.replace("198.18.0.64/26", "198.18.0.65/26"), ":1: clients:", "has host bits set"),
        (GROUP.replace("198.18.0.64/26", "localhost"), ":1: clients:", "not an address or a network"),
        (GROUP.replace("tcp:198.18.100.1:80", "198.18.100.1:80"), "].frontends:", "PROTOCOL:ADDRESS:PORT"),
        (GROUP.replace("tcp:198.18.100.1:80", "tcp:198.18.100.1:0"), "].frontends:", "'0' is not a port"),
        (GROUP.replace("tcp:198.18.100.1:80", "[]"), ":3: groups[0].frontends:", "list at least one"),
        (GROUP.replace("syn", "sin"), ":4: groups[0].packets:", "'sin' is no packet"),
        (GROUP.replace("syn", "syn data*0*2"), ":4: groups[0].packets:", "'data*0*2' is no packet"),
        (GROUP.replace("syn", "data*0"), ":4: groups[0].packets:", "1 to 65535 packets, not 0"),
        (GROUP.replace("syn", "data*65536"), ":4: groups[0].packets:", "1 to 65535 packets"),
        (GROUP.replace("tcp:", "udp:"), ":4: groups[0].packets:", "UDP has only data"),
        (GROUP.replace("clients: 198.18.0.64/26\n", ""), "groups[0].clients:", "is missing"),
        (GROUP.replace("    packets: syn\n", ""), "groups[0].packets:", "is missing"),
        (f"ports: 70000\n{GROUP}", ":1: ports:", "'70000' is not a port"),
        (f"ports: 2000-1000\n{GROUP}", ":1: ports:", "lower port first"),
        (f"spread: even\n{GROUP}", ":1: spread:", "random or sequential"),
        (f"payload_bytes: 1401\n{GROUP}", ":1: payload_bytes:", "from 0 to 1400"),
        (f"text: {'x' * 1401}\n{GROUP}", ":1: text:", "1400 bytes"),
        (f"{GROUP}    connections: 0\n", ":5: groups[0].connections:", "from 1 to 1000000"),
        (f"{GROUP}    connections: true\n", ":5: groups[0].connections:", "from 1 to 1000000"),
    ],
)  # fmt: skip
def test_a_wrong_script_is_named_by_line_and_key(tmp_path: Path, text: str, where: str, what: str) -> None:
    """Exit code 2, one line, and no file was written."""
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    done = run("run", path, "--pcap", tmp_path / "out.pcap")

    assert done.exit_code == 2
    assert f"{path}:" in done.stderr
    assert where in done.stderr
    assert what in done.stderr
    assert not (tmp_path / "out.pcap").exists()


# ---- the checker


def backend_of(frame: bytes) -> str:
    """An honest balancer: by the client's port."""
    return f"b{next(segments(frame)).key.source_port % 2 + 1}"


def by_l2(frame: bytes, backend: str) -> bytes:
    """Direct return: another destination MAC."""
    return bytes.fromhex(BACKENDS[backend][0].replace(":", "")) + frame[6:]


def by_ipip(frame: bytes, backend: str) -> bytes:
    """The packet in an IPv4 packet."""
    mac, address = BACKENDS[backend]
    return bytes(Ether(dst=mac) / IP(src="198.18.0.2", dst=address, id=999) / Ether(frame)[IP])


def by_vxlan(frame: bytes, backend: str) -> bytes:
    """The frame in a VXLAN packet."""
    mac, address = BACKENDS[backend]
    outer = Ether(dst=mac) / IP(src="198.18.0.2", dst=address) / UDP(sport=50000, dport=4789) / VXLAN(vni=1)
    return bytes(outer / Ether(frame))


def by_tag(frame: bytes, backend: str) -> bytes:
    """Direct return in a VLAN."""
    packet = Ether(frame)
    return bytes(Ether(dst=BACKENDS[backend][0]) / Dot1Q(vlan=7) / packet[IP])


MODES: dict[str, Callable[[bytes, str], bytes]] = {
    "l2": by_l2,
    "ipip": by_ipip,
    "vxlan": by_vxlan,
    "tag": by_tag,
}


def forwarded(sent: Frames, mode: str = "l2") -> Frames:
    """What an honest balancer makes of it."""
    return [(time_ns + 1000, MODES[mode](frame, backend_of(frame))) for time_ns, frame in sent]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_right_is_found_right(sent: Frames, mode: str) -> None:
    """Each forwarding mode: nothing lost, shares by MAC or outer address, connections whole."""
    report = check(sent, [Received(forwarded(sent, mode))])
    column = 1 if mode in ("ipip", "vxlan") else 0
    expected: defaultdict[str, set[object]] = defaultdict(set)
    for _, frame in sent:
        expected[BACKENDS[backend_of(frame)][column]].add(next(segments(frame)).key)

    assert report.is_flawless
    assert (report.connections, report.sent, report.received, report.unseen) == (10, 60, 60, 0)
    assert {backend: share.connections for backend, share in report.shares.items()} == {
        backend: len(keys) for backend, keys in expected.items()
    }
    assert {share.packets / share.connections for share in report.shares.values()} == {6}


def test_a_moved_connection_is_found(sent: Frames) -> None:
    """One packet of one connection on another backend: that connection, and those packets."""
    got = forwarded(sent)
    place = next(at for at, (_, frame) in enumerate(sent) if next(segments(frame)).number == 4)
    frame = sent[place][1]
    other = "b2" if backend_of(frame) == "b1" else "b1"
    got[place] = (got[place][0], by_l2(frame, other))
    report = check(sent, [Received(got)])

    assert not report.is_consistent
    (moved,) = report.moved
    assert moved.connection == next(segments(frame)).key
    assert moved.packets == {BACKENDS[backend_of(frame)][0]: [1, 2, 3, 5, 6], BACKENDS[other][0]: [4]}


def test_faults_are_told_apart(sent: Frames) -> None:
    """Lost, repeated, reordered and altered packets, each counted as what it is; none moves a connection."""
    keys = sorted({next(segments(frame)).key for _, frame in sent})

    def place(connection: int, number: int) -> int:
        seen = [next(segments(frame)) for _, frame in sent]
        return next(at for at, s in enumerate(seen) if (s.key, s.number) == (keys[connection], number))

    got = forwarded(sent)
    late, early = place(1, 2), place(1, 3)
    got[late], got[early] = (got[early][0], got[late][1]), (got[late][0], got[early][1])
    got.append((got[-1][0] + 1, got[place(2, 6)][1]))
    at = place(3, 5)
    got[at] = (got[at][0], got[at][1][:-1] + b"!")
    del got[place(0, 1)]
    report = check(sent, [Received(got)])

    assert (report.lost, report.duplicated, report.reordered, report.altered) == (1, 1, 1, 1)
    assert report.received == 59
    assert report.is_consistent
    assert not report.is_flawless


def test_named_captures_are_their_backends(sent: Frames) -> None:
    """One capture a server; what one holds counts for its name, and two of them can disagree."""
    got = forwarded(sent)
    split = {name: [item for item in got if item[1][:6].hex(":") == BACKENDS[name][0]] for name in BACKENDS}
    honest = check(sent, [Received(found, name) for name, found in split.items()])
    split["b2"].append(split["b1"][0])
    broken = check(sent, [Received(found, name) for name, found in split.items()])

    assert honest.is_flawless
    assert set(honest.shares) == set(BACKENDS)
    assert len(broken.moved) == 1


def test_other_frames_do_not_count(sent: Frames) -> None:
    """The sent frames themselves, answers, other traffic and rubbish in a capture are left out."""
    first = Ether(sent[0][1])
    noise = [
        bytes(Ether(dst="02:00:00:00:00:01") / IP(src=first[IP].dst, dst=first[IP].src) / UDP()),
        bytes(Ether(dst=BACKENDS["b1"][0]) / IP(src="198.18.0.99", dst=first[IP].dst) / TCP()),
        b"\xff" * 60,
        b"",
        sent[0][1][:30],
    ]
    got = [*sent, *forwarded(sent), *((0, frame) for frame in noise)]

    assert check(sent, [Received(got)]).is_flawless


def test_nothing_received_is_not_consistent(sent: Frames) -> None:
    """A check that saw nothing does not pass."""
    report = check(sent, [Received(sent)])

    assert (report.received, report.lost, report.unseen) == (0, 60, 10)
    assert not report.is_consistent


def test_two_runs_in_one_file_are_refused(sent: Frames) -> None:
    """Packets that cannot be told apart would hide losses."""
    with pytest.raises(CheckError, match="give what `tiara traffic run --pcap` wrote, of one run"):
        check([*sent, *sent], [Received(forwarded(sent))])
    with pytest.raises(CheckError, match="no TCP or UDP packet"):
        check([], [Received(forwarded(sent))])


# ---- the command line


def write(path: Path, found: Frames) -> Path:
    """A capture."""
    with pcap.Writer(path) as writer:
        for time_ns, frame in found:
            writer.write(time_ns, frame)
    return path


def test_check_says_it_and_ends_so(tmp_path: Path, sent: Frames) -> None:
    """Exit code 0 when consistent; 1 when not, or with --strict when anything else is wrong."""
    files = [write(tmp_path / "sent.pcap", sent)]
    good = write(tmp_path / "good.pcap", forwarded(sent))
    lossy = write(tmp_path / "lossy.pcap", forwarded(sent)[1:])
    moved = write(tmp_path / "moved.pcap", [(t, by_l2(f, "b1" if t % 4_000_000 else "b2")) for t, f in sent])
    codes = {
        (path.stem, *flags): run("check", *flags, *files, path).exit_code
        for path in (good, lossy, moved)
        for flags in ([], ["--strict"])
    }

    assert codes == {
        ("good",): 0, ("good", "--strict"): 0, ("lossy",): 0, ("lossy", "--strict"): 1,
        ("moved",): 1, ("moved", "--strict"): 1,
    }  # fmt: skip
    text = run("check", *files, moved).stdout
    assert re.search(
        r"^moved: 198\.18\.0\.\d+:\d+ -> (tcp|udp):198\.18\.100\.\d:\d+: 02:.* packets ", text, re.M
    )
    assert re.search(r"^inconsistent: \d+ connections reached more than one backend$", text, re.M)
    assert "consistent: every connection reached one backend" in run("check", *files, good).stdout
    report = json.loads(run("check", "--json", *files, f"b1={good}").stdout)
    assert report["shares"] == {"b1": {"connections": 10, "packets": 60}}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "No such file"),
        (b"", "is not a pcap file"),
        (b"\x0a\x0d\x0d\x0a" + b"\0" * 40, "is pcapng; run `editcap -F pcap"),
        ((GOLDEN / "traffic.pcap").read_bytes()[:-1], "ends within a frame"),
        ((GOLDEN / "traffic.pcap").read_bytes()[:30], "ends within a frame"),
        ((GOLDEN / "traffic.pcap").read_bytes()[:20] + b"\x71\0\0\0", "is not a capture of Ethernet frames"),
    ],
)
def test_a_wrong_capture_is_named(tmp_path: Path, content: bytes | None, what: str) -> None:
    """Exit code 2 and a line with its name."""
    path = tmp_path / "wrong.pcap"
    if content is not None:
        path.write_bytes(content)
    done = run("check", path, path)

    assert done.exit_code == 2
    assert done.stderr.startswith(f"tiara traffic: {path}: ")
    assert what in done.stderr


def test_captures_of_either_byte_order_and_unit_are_read(tmp_path: Path) -> None:
    """As tcpdump writes them on any machine."""
    frame = b"x" * 20
    for order in "<>":
        for magic, unit_ns in ((0xA1B2C3D4, 1000), (0xA1B23C4D, 1)):
            path = tmp_path / "any.pcap"
            head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
            path.write_bytes(head + struct.pack(f"{order}IIII", 3, 5, 20, 20) + frame)
            assert list(pcap.read(path)) == [(3_000_000_000 + 5 * unit_ns, frame)]


FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 198.18.0.0
        /24 link UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 198.18.0.7
        /32 host LOCAL
     |-- 198.18.0.255
        /32 link BROADCAST
     |-- 198.18.100.0
        /24 host LOCAL
     |-- 198.18.0.7
        /32 host LOCAL
"""


def test_the_kernel_s_own_addresses_are_known() -> None:
    """Networks on `lo` among them; what it only has a route to is not its own."""
    assert [str(network) for network in parse_own_networks(FIB_TRIE)] == [
        "127.0.0.0/8",
        "198.18.0.7/32",
        "198.18.100.0/24",
    ]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "give --interface IFACE, --pcap FILE, or both"),
        (["--pcap", "out.pcap", "--to", "198.18.0.1"], "a file needs a MAC address"),
        (["--interface", "nosuch0"], "there is no interface nosuch0"),
        (["--interface", "an-interface-with-a-long-name"], "there is no interface an-interface"),
    ],
)
def test_wrong_arguments_say_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], what: str
) -> None:
    """Exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    done = run("run", GOLDEN / "traffic.yaml", *arguments)

    assert done.exit_code == 2
    assert what in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_scapy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what builds packets needs the extra; check goes on without."""
    sent = write(tmp_path / "sent.pcap", list(pcap.read(GOLDEN / "traffic.pcap")))
    monkeypatch.setitem(sys.modules, "scapy", None)
    done = run("run", GOLDEN / "traffic.yaml", "--pcap", tmp_path / "out.pcap")

    assert done.exit_code == 2
    assert "pip install 'tiara-lb[traffic]'" in done.stderr
    assert "Nothing was sent" in done.stderr
    assert run("check", sent, sent).exit_code == 1


def test_the_command_line_client_stays_clear_of_scapy(tmp_path: Path) -> None:
    """`tiara traffic` is another process: `tiara` itself never loads scapy, nor tiara.traffic."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, tiara.cli.main; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not [name for name in loaded if name.startswith(("scapy", "tiara.traffic"))]
    program = "from tiara.cli.main import main; main()"
    out = tmp_path / "out.pcap"
    command = [sys.executable, "-c", program, "traffic", "run", str(GOLDEN / "traffic.yaml"), f"--pcap={out}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == (GOLDEN / "traffic.pcap").read_bytes()
    helped = subprocess.run([*command[:4], "--help"], capture_output=True, text=True, check=False).stdout
    assert helped.startswith("Usage: tiara traffic ")
