# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets' corpora, one input a line: where it comes from, and its bytes in hex.

corpus.py make                   what is made from tests/path records and by hand anew; what was
                                 found stays
corpus.py unpack NAME FOLDER     a corpus as libFuzzer wants it: a file for each input
corpus.py add NAME FOLDER        what a fuzz run found and `-merge=1` left over, into the corpus
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "path"), str(HERE.parent / "unit"), str(HERE.parents[1] / "controlplane")]

from path_records import merged, records, setups  # noqa: E402
from tiara.domain.layout import Forward, State, Use  # noqa: E402

HEAD = "# SPDX-License-Identifier: Apache-2.0\n# Written by tests/fuzz/corpus.py.\n"
BACKENDS = ["b1", "b2", "b3", "b4"]
SERVICES = ["web", "dns"]
HEADROOM = [128, 49, 19, 0]
SMALL_MTU, TINY_TABLE, NO_GATEWAY, AFFINITY, UNCONFIGURED, NO_PORT_ROOM = (1 << bit for bit in range(2, 8))
SOURCES, RATE, ONE_EACH = 0x10, 0x20, 0x40
INJECT, WAIT, PUBLISH, PUSH, WITH_NEXT = 4, 5, 6, 7, 8


def lines(name: str) -> list[tuple[str, bytes]]:
    """The inputs of a corpus: origin and bytes."""
    text = (HERE / "corpus" / f"{name}.hex").read_text()
    pairs = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return [(origin, bytes.fromhex(data)) for origin, data in pairs]


def write(name: str, inputs: list[tuple[str, bytes]]) -> None:
    """Writes a corpus, each input once."""
    unique = {data: origin for origin, data in reversed(inputs)}
    ordered = sorted((origin, data.hex()) for data, origin in unique.items())
    text = HEAD + "".join(f"{origin} {data}\n" for origin, data in ordered)
    (HERE / "corpus" / f"{name}.hex").write_text(text)


def unpack(name: str, folder: Path) -> None:
    """A file for each input, named by its hash as libFuzzer does."""
    folder.mkdir(parents=True, exist_ok=True)
    for _, data in lines(name):
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def add(name: str, folder: Path) -> None:
    """The files of a folder join the corpus, as found."""
    more = [("found", path.read_bytes()) for path in sorted(folder.iterdir())]
    write(name, lines(name) + [one for one in more if one[1]])


def found(name: str) -> list[tuple[str, bytes]]:
    """The inputs that a fuzz run found."""
    return [one for one in lines(name) if one[0] == "found"]


# ---- packets: the format is told in fuzz_path.c


def step(what: int, data: bytes) -> bytes:
    """One step of an input."""
    return bytes([what]) + len(data).to_bytes(2, "little") + data


def limits(config: Mapping[str, Any]) -> int:
    """What is said beside the rows."""
    web = config["services"]["web"]
    capped = any(backend.get("connection_max", 0) for backend in config["backends"].values())
    return SOURCES * bool(web.get("sources")) | RATE * bool(web.get("new_max")) | ONE_EACH * capped


def rows(config: Mapping[str, Any]) -> int:
    """0: none, one backend's number, or 6: all; and limits."""
    return limits(config) | _rows(config)


def _rows(config: Mapping[str, Any]) -> int:
    named = set(config["services"]["web"]["rows"])
    if not named:
        return 0
    only = named.pop()
    return 6 if named or only not in BACKENDS else BACKENDS.index(only) + 1


def switches(setup: Mapping[str, Any], record: Mapping[str, Any]) -> int:
    """The second byte of an input."""
    room = {key: n for one in record["step"] for key, n in one.get("room", {}).items()}
    headroom = room.get("headroom", 128)
    return int(
        max(i for i, least in enumerate(HEADROOM) if i == 0 or headroom <= least)
        | SMALL_MTU * (setup["node"]["mtu"] < 1500)
        | TINY_TABLE * (setup["buckets"] == 2)
        | NO_GATEWAY * (setup["node"]["gateway"] == "0.0.0.0")
        | AFFINITY * bool(setup["services"]["web"].get("flags", 0))
        | UNCONFIGURED * bool(record.get("unconfigured", False))
        | NO_PORT_ROOM * (0 in (room.get("tx", -1), room.get("kernel", -1)))
    )


def uses(config: Mapping[str, Any]) -> bytes:
    """A publish step's data."""
    said = [config["backends"].get(name, {}).get("use", "free") for name in BACKENDS]
    return bytes([rows(config), *(Use[use.upper()].value for use in said)])


def pushed(said: Mapping[str, Any]) -> bytes:
    """A push step's data."""
    port = int(said["client"].split(":")[1]).to_bytes(2, "little")
    return port + bytes([SERVICES.index(said["service"]), BACKENDS.index(said["backend"])])


def steps(record: Mapping[str, Any], config: Mapping[str, Any]) -> bytes:
    """All of a record that an input can say."""
    out = b""
    for one in record["step"]:
        if "in_hex" in one:
            out += step(WITH_NEXT * one.get("with_next", False), bytes.fromhex(one["in_hex"]))
        elif "inject_hex" in one:
            out += step(INJECT, bytes.fromhex(one["inject_hex"]))
        elif "wait" in one:
            out += step(WAIT, bytes([min(one["wait"], 31)]))
        elif "change" in one:
            config = merged(config, one["change"])
            out += step(PUBLISH, uses(config))
        elif "push" in one and one["push"]["service"] in SERVICES and one["push"]["backend"] in BACKENDS:
            out += step(PUSH, pushed(one["push"]))
    return out


def path_inputs() -> list[tuple[str, bytes]]:
    """Every record as an input, of the kinds of steps that fuzz_path.c knows."""
    out = []
    for name, record in records():
        setup = setups()[record["setup"]]
        head = bytes([rows(setup), switches(setup, record), Forward.IPIP.value])
        out.append((name, head + steps(record, setup)))
        if any(use["use"] != "active" for use in setup["backends"].values()):
            out.append((f"{name}-uses", head + step(PUBLISH, uses(setup)) + steps(record, setup)))
        if setup["services"]["web"]["rows"] == ["b3"]:
            out.append((f"{name}-ipip", bytes([limits(setup) | 5]) + head[1:] + steps(record, setup)))
    return out


# ---- packed connections: the format is told in fuzz_push.c


def packed(
    client: int, port: int, service: int, backend: int, idle: int, state: State, flags: int = 0
) -> bytes:
    """One record of 16 bytes."""
    return struct.pack("!IHHIHBB", client, port, service, backend, idle, state.value, flags)


def push_inputs() -> list[tuple[str, bytes]]:
    """Right batches, and one for each way of being wrong."""
    head = bytes([0, 3, 0, 1, 255, 4, 0, 1, 2, 255])
    client = 0xC6120007
    good = packed(client, 40000, 0, 0, 5, State.ESTABLISHED)
    udp = packed(client, 40000, 1, 1, 0, State.UDP)
    other = packed(client, 40000, 0, 1, 0, State.NEW)
    wrong = [
        packed(0, 40000, 0, 0, 0, State.NEW),
        packed(0xE0000001, 40000, 0, 0, 0, State.NEW),
        packed(client, 0, 0, 0, 0, State.NEW),
        packed(client, 1, 2, 0, 0, State.NEW),
        packed(client, 1, 3, 0, 0, State.NEW),
        packed(client, 1, 0, 2, 0, State.NEW),
        packed(client, 1, 0, 3, 0, State.NEW),
        packed(client, 1, 0, 4, 0, State.NEW),
        packed(client, 1, 0, 0, 0, State.UDP),
        packed(client, 1, 1, 0, 0, State.NEW),
        packed(client, 1, 0, 0, 0, State.NEW, 1),
        packed(client, 1, 0, 0, 100, State.NEW),
    ]
    states = [State.NEW, State.UDP]
    many = b"".join(packed(client, 1 + n, n % 2, n % 2, 0, states[n % 2]) for n in range(40))
    right = [b"", good, good + udp, good + other, many]
    inputs = [head + data for data in right] + [b"\1" + head[1:] + good + other]
    inputs += [head + good + bad for bad in wrong]
    return [(f"by-hand-{n:02}", data) for n, data in enumerate(inputs)]


def main(arguments: list[str]) -> int:
    """Does what the head of this file says."""
    match arguments:
        case ["make"]:
            write("path", path_inputs() + found("path"))
            write("push", push_inputs() + found("push"))
        case ["unpack", name, folder]:
            unpack(name, Path(folder))
        case ["add", name, folder]:
            add(name, Path(folder))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
