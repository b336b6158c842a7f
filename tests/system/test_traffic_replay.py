# SPDX-License-Identifier: Apache-2.0
"""tiara-replay by itself: what it reads, what it sends (to DPDK's pcap port), what it refuses.

What it sends to a data plane is in test_traffic_live.py.
"""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import pytest
from testbed.balancer import BIN
from tiara import pcap

GOLDEN = Path(__file__).parents[1] / "unit" / "golden" / "traffic.pcap"
EAL = ["--", "--no-pci", "--no-huge", "-m", "256"]
FRAMES = [frame for _, frame in pcap.read(GOLDEN)]


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs it."""
    command = [str(BIN / "tiara-replay"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def replayed(folder: Path, file: Path, *arguments: str) -> tuple[dict[str, float], list[bytes]]:
    """Its report, and the frames that it sent."""
    out = folder / "out.pcap"
    done = replay(file, "--json", *arguments, *EAL, f"--vdev=net_pcap0,tx_pcap={out}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), [frame for _, frame in pcap.read(out)]


def test_frames_are_sent_as_they_are_and_in_order(tmp_path: Path) -> None:
    """Without bounds, each once."""
    report, sent = replayed(tmp_path, GOLDEN)

    assert sent == FRAMES
    assert report["sent"] == len(FRAMES)
    assert report["bytes"] == sum(map(len, FRAMES))
    assert report["dropped"] == 0


def test_count_goes_round_and_to_changes_the_destination(tmp_path: Path) -> None:
    """Seventy frames of a file of fewer, all to another MAC address and otherwise the same."""
    report, sent = replayed(tmp_path, GOLDEN, "--count=70", "--to=02:00:00:00:00:99", "--rate=100000")

    assert report["sent"] == 70
    assert [frame[6:] for frame in sent] == [frame[6:] for frame in FRAMES * 3][:70]
    assert {frame[:6] for frame in sent} == {bytes.fromhex("020000000099")}


def test_the_rate_bounds_what_a_duration_sends(tmp_path: Path) -> None:
    """No more frames than the pace allows in that time."""
    report, sent = replayed(tmp_path, GOLDEN, "--duration=0.3s", "--rate=1000")

    assert 0 < report["sent"] <= 301
    assert report["seconds"] >= 0.3
    assert len(sent) == report["sent"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_captures_of_either_byte_order_and_unit_are_read(tmp_path: Path, order: str, magic: int) -> None:
    """As tcpdump writes them on any machine."""
    file = tmp_path / "any.pcap"
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    file.write_bytes(head + struct.pack(f"{order}IIII", 1, 2, 60, 60) + FRAMES[0][:54].ljust(60, b"\0"))

    assert replayed(tmp_path, file)[1] == [FRAMES[0][:54].ljust(60, b"\0")]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is not a pcap file"),
        (b"\x0a\x0d\x0d\x0a" + b"\0" * 40, "is not a pcap file"),
        (GOLDEN.read_bytes()[:20] + b"\x71\0\0\0", "is not a pcap file of Ethernet frames"),
        (GOLDEN.read_bytes()[:24], "has no frame"),
        (GOLDEN.read_bytes()[:30], "frame 1 is cut off"),
        (GOLDEN.read_bytes()[:-1], f"frame {len(FRAMES)} is cut off"),
        (GOLDEN.read_bytes()[:32] + b"\xff" * 8 + GOLDEN.read_bytes()[40:], "frame 1 is cut off"),
        (
            GOLDEN.read_bytes()[:32] + struct.pack("<II", 13, 13) + b"x" * 13,
            "shorter than an Ethernet header",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes | None, what: str) -> None:
    """Before any port is opened: exit code 2 and one line with the file's name."""
    file = tmp_path / "wrong.pcap"
    if content is not None:
        file.write_bytes(content)
    done = replay(file, *EAL, "--vdev=net_null0")

    assert done.returncode == 2
    assert done.stderr.startswith(f"tiara-replay: {file}: ")
    assert what in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "give one pcap file to send, not 0"),
        ([str(GOLDEN), str(GOLDEN)], "give one pcap file to send, not 2"),
        ([str(GOLDEN), "--rate=0"], '--rate: "0" is not a whole number from 1'),
        ([str(GOLDEN), "--rate=1k"], '--rate: "1k" is not a whole number'),
        ([str(GOLDEN), "--count=-1"], '--count: "-1" is not a whole number'),
        ([str(GOLDEN), "--duration=soon"], '--duration: "soon" is not a time'),
        ([str(GOLDEN), "--duration=0"], '--duration: "0" is not a time'),
        ([str(GOLDEN), "--to=198.18.0.1"], "is not a MAC address"),
        ([str(GOLDEN), "--io=wifi"], "is no way to receive packets"),
        ([str(GOLDEN), "--io=af_packet:nosuch0"], "there is no interface nosuch0"),
        ([str(GOLDEN), "--speed=1"], "--help lists what there is"),
        ([str(GOLDEN), "--rate"], "--help lists what there is"),
    ],
)
def test_wrong_arguments_say_what_to_give(arguments: list[str], what: str) -> None:
    """Exit code 2 and one line."""
    done = replay(*arguments)

    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 1


def test_frames_longer_than_the_port_carries_are_refused(tmp_path: Path) -> None:
    """Rather than cut or left out: nothing is sent."""
    file = tmp_path / "long.pcap"
    with pcap.Writer(file) as writer:
        writer.write(0, b"x" * 1519)
    done = replay(file, *EAL, "--vdev=net_null0")

    assert done.returncode == 2
    assert "the longest frame has 1519 bytes and the port carries 1518" in done.stderr
    assert "Nothing was sent" in done.stderr
