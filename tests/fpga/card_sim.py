# SPDX-License-Identifier: Apache-2.0
"""The Verilated card (fpga/sim) through cffi in API mode, and what a CPU does with one.

TIARA_BUILD names the build folder, build/release otherwise; TIARA_SIM_BUILD that of another card.
"""

from __future__ import annotations

import atexit
import ipaddress
import os
import re
import sysconfig
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

from card_registers import COUNTERS, FIELDS, OFFSETS
from cffi import FFI
from path_packets import mac
from tiara.domain.layout import CardKind, CardReason

ROOT = Path(__file__).parents[2]
INCLUDES = (ROOT / "fpga/sim", ROOT / "dataplane/include")
PATIENCE = 1_000_000
"""Cycles after which a simulation that is not idle hangs."""


class Refused(Exception):
    """A register answered SLVERR."""


def build_folder() -> Path:
    path = os.environ.get("TIARA_BUILD", "build/release")
    return ROOT / os.environ.get("TIARA_SIM_BUILD", path) / "fpga/sim"


def _declarations() -> str:
    """The structs and enums of the layout, and tiara_sim.h without its preprocessor."""
    layout = (ROOT / "controlplane/tiara/native/libtiara.cdef").read_text()
    types = re.findall(
        r"^(?:typedef [^;(]*;|(?:enum|struct) \w+ \{.*?^\};)$", layout, re.DOTALL | re.MULTILINE
    )
    wanted = [text for text in types if re.match(r"typedef|struct tiara_(card_\w+|entry|bucket) \{", text)]
    header = (ROOT / "fpga/sim/tiara_sim.h").read_text()
    header = re.sub(r"^#ifdef __cplusplus$.*?^#endif$", "", header, flags=re.DOTALL | re.MULTILINE)
    header = re.sub(r"^#.*$", "", header, flags=re.MULTILINE)
    return "\n".join([*wanted, header])


@cache
def sim(model: str) -> Any:
    """The extension module of a card; made anew when the library or its header is newer."""
    folder = build_folder()
    library = folder / f"lib{model}.so"
    if not library.exists():
        raise FileNotFoundError(
            f"{library} is not built; run: meson setup {folder.parents[1]} -Dtests=true && "
            f"ninja -C {folder.parents[1]} fpga/sim/{library.name}"
        )
    extension = folder / f"_{model}{sysconfig.get_config_var('EXT_SUFFIX')}"
    sources = [library, ROOT / "fpga/sim/tiara_sim.h", ROOT / "controlplane/tiara/native/libtiara.cdef"]
    if not extension.exists() or extension.stat().st_mtime < max(p.stat().st_mtime for p in sources):
        ffi = FFI()
        ffi.cdef(_declarations())
        ffi.set_source(
            f"_{model}", '#include "tiara_sim.h"', libraries=[model], library_dirs=[str(folder)],
            include_dirs=[str(path) for path in INCLUDES], extra_link_args=[f"-Wl,-rpath,{folder}"],
        )  # fmt: skip
        ffi.compile(str(folder))
    loader = ExtensionFileLoader(f"_{model}", str(extension))
    spec = spec_from_loader(f"_{model}", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Memory:
    """How memory and the ends of streams behave; see struct tiara_sim_config."""

    seed: int = 1
    latency_cycles: int = 0
    jitter_cycles: int = 0
    reorder_pct: int = 0
    refresh_every_cycles: int = 0
    refresh_cycles: int = 0
    idle_pct: int = 0
    stall_pct: int = 0
    cpu_stall_pct: int = 0


CALM = Memory(latency_cycles=10)
ROUGH = Memory(seed=7, latency_cycles=20, jitter_cycles=60, reorder_pct=60, refresh_every_cycles=500,
               refresh_cycles=50, idle_pct=30, stall_pct=40)  # fmt: skip


@dataclass(frozen=True)
class Left:
    """A frame that left: "sent" or "cpu", and for the CPU why."""

    way: str
    frame: bytes
    reason: CardReason = CardReason.NONE
    key: int = 0
    hash: int = 0
    service_idx: int = 0
    cycle: int = 0
    pipe: int = 0


@dataclass(frozen=True)
class Answer:
    """struct tiara_card_answer."""

    kind: CardKind
    channel: int
    epoch: int
    number: int
    slot: int
    harvest: int
    seen: tuple[int, int]


def mac_octets(text: str) -> bytes:
    """Six bytes of a MAC address by its name in records, or as it is."""
    return bytes.fromhex(mac(text).replace(":", ""))


def octets(text: str) -> bytes:
    """Four bytes of an address."""
    return ipaddress.IPv4Address(text).packed


_OPEN: weakref.WeakSet[Card] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """While the interpreter is whole: a test that failed keeps its card until then."""
    for card in list(_OPEN):
        card.close()


class Card:
    """A simulated card, "tiara_sim_pipes" of two pipes. Numbers are as in layout.h, addresses text."""

    def __init__(self, memory: Memory = CALM, model: str = "tiara_sim") -> None:
        self.lib, self.ffi = sim(model).lib, sim(model).ffi
        config = self.ffi.new("struct tiara_sim_config *", vars(memory))
        self._sim = self.ffi.gc(self.lib.tiara_sim_create(config), self.lib.tiara_sim_destroy)
        self._buffer = self.ffi.new("uint8_t[]", 16384)
        _OPEN.add(self)
        self.epoch = 0
        self.numbers = [0] * 16

    def reconfigure(self, memory: Memory) -> None:
        """From the next cycle on; memory's seed stays the first one."""
        self.lib.tiara_sim_configure(self._sim, self.ffi.new("struct tiara_sim_config *", vars(memory)))

    def close(self) -> None:
        """Ends the simulation; once."""
        _OPEN.discard(self)
        self.ffi.release(self._sim)

    # ---- registers

    def read(self, name: str, place: int = 0) -> int:
        """A register by its name, the place-th of a row."""
        return self.read_at(OFFSETS[name] + 4 * place)

    def read_at(self, offset: int) -> int:
        """Raises Refused."""
        value = self.ffi.new("uint32_t *")
        self._answered(self.lib.tiara_sim_read(self._sim, offset, value))
        return int(value[0])

    def write(self, name: str, value: int, place: int = 0) -> None:
        """See read."""
        self.write_at(OFFSETS[name] + 4 * place, value)

    def write_at(self, offset: int, value: int, strobes: int = 15) -> None:
        """Raises Refused."""
        self._answered(self.lib.tiara_sim_write_bytes(self._sim, offset, value, strobes))

    def _answered(self, status: int) -> None:
        assert status != self.lib.TIARA_SIM_SILENT, "no answer from the registers"
        if status != self.lib.TIARA_SIM_OK:
            raise Refused

    def write_words(self, name: str, data: bytes) -> None:
        """A row of registers from bytes, the lowest first."""
        padded = data.ljust(-len(data) % 4 + len(data), b"\0")
        for i in range(0, len(padded), 4):
            self.write(name, int.from_bytes(padded[i : i + 4], "little"), i // 4)

    def counter(self, name: str) -> int:
        """One of the card's own counters."""
        self.write("COUNTER_READ", COUNTERS[name])
        return self.read("COUNTER") | self.read("COUNTER", 1) << 32

    def totals(self, index: int, backend: bool) -> tuple[int, int]:
        """Packets and bytes forwarded for a service index or a backend line."""
        self.write("TOTALS_READ", index | FIELDS["TOTALS_READ.BACKEND"] * backend)
        words = [self.read("TOTALS", i) for i in range(4)]
        return words[0] | words[1] << 32, words[2] | words[3] << 32

    # ---- what a data plane does at its start

    def power_cycle(self) -> None:
        """rst_ni: nothing that was is left, but memory's rubbish."""
        self.lib.tiara_sim_reset(self._sim)
        self.epoch = 0

    def reset(self) -> None:
        """By CONTROL, until the card is ready."""
        self.write("CONTROL", FIELDS["CONTROL.RESET"])
        for _ in range(PATIENCE):
            if self.read("STATUS") == FIELDS["STATUS.READY"]:
                break
            self.step(16)
        self.epoch = self.read("EPOCH")
        self.numbers = [0] * 16

    def configure(self, secret: int, address: str, port_mac: str, kernel_mac: str) -> None:
        """What registers hold of the node."""
        self.write_words("SECRET", secret.to_bytes(16, "little"))
        self.write_words("ADDRESS", octets(address))
        self.write_words("PORT_MAC", mac_octets(port_mac))
        self.write_words("KERNEL_MAC", mac_octets(kernel_mac))

    def service(self, line: int, frontend: tuple[str, int, int] | None, index: int = 0) -> None:
        """A line of the service table: VIP, port and protocol; None empties it."""
        made = self.ffi.new("struct tiara_card_service *")
        if frontend:
            vip, port, protocol = frontend
            made.vip = int.from_bytes(octets(vip), "little")
            made.port = int.from_bytes(port.to_bytes(2, "big"), "little")
            made.protocol, made.valid, made.service_idx = protocol, 1, index
        self.write_words("LINE", bytes(self.ffi.buffer(made)))
        self.write("SERVICE_WRITE", line)

    def backend(self, line: int, **members: Any) -> None:
        """A line of the backend table: struct tiara_card_backend's members as bytes or numbers."""
        made = self.ffi.new("struct tiara_card_backend *")
        for name, value in members.items():
            if isinstance(value, bytes):
                self.ffi.memmove(self.ffi.addressof(made, name), value, len(value))
            else:
                setattr(made, name, value)
        self.backend_line(line, bytes(self.ffi.buffer(made)))

    def backend_line(self, line: int, data: bytes) -> None:
        """The same, from the struct's bytes."""
        self.write_words("LINE", data)
        self.write("BACKEND_WRITE", line)

    # ---- commands

    def command(self, kind: CardKind, channel: int = 0, **members: Any) -> int:
        """Queues one with the channel's next number, or the number given; returns the number."""
        if "number" not in members:
            self.numbers[channel] += 1
        made = self.ffi.new("struct tiara_card_command *")
        made.kind, made.channel, made.epoch = kind, channel, self.epoch
        made.number = members.pop("number", self.numbers[channel % 16])
        key = members.pop("key", None)
        if key is not None:
            self.ffi.memmove(self.ffi.addressof(made, "entry"), key.to_bytes(8, "little"), 8)
        for name in ("backend_line", "generation", "state"):
            if name in members:
                setattr(made.entry, name, members.pop(name))
        for name, value in members.items():
            setattr(made, name, value)
        self.post(made)
        return int(made.number)

    def post(self, command: Any) -> None:
        """Queues a struct tiara_card_command as it is."""
        self.lib.tiara_sim_command(self._sim, command)

    def answers(self) -> list[Answer]:
        """All that are there."""
        out = []
        while (made := self.answer()) is not None:
            out.append(Answer(CardKind(made.kind), made.channel, made.epoch, made.number, made.slot,
                              made.harvest, tuple(made.seen)))  # fmt: skip
        return out

    def answer(self) -> Any | None:
        """The next one, a struct tiara_card_answer."""
        made = self.ffi.new("struct tiara_card_answer *")
        return made if self.lib.tiara_sim_answer(self._sim, made) else None

    # ---- packets and time

    def send(self, frames: Iterable[bytes], pipe: int = 0) -> None:
        """Queues frames."""
        for frame in frames:
            status = self.lib.tiara_sim_rx_pipe(self._sim, pipe, frame, len(frame))
            assert status == self.lib.TIARA_SIM_OK

    def left(self) -> list[Left]:
        """All frames that have left since."""
        info, out = self.ffi.new("struct tiara_sim_frame *"), []
        while self.lib.tiara_sim_tx(self._sim, info, self._buffer, len(self._buffer)):
            frame, meta = bytes(self.ffi.buffer(self._buffer, info.bytes)), info.meta
            way = "sent" if info.way == self.lib.TIARA_SIM_TX else "cpu"
            out.append(Left(way, frame, CardReason(meta.reason), meta.key, meta.hash, meta.service_idx,
                            info.cycle, info.pipe))  # fmt: skip
        return out

    def receive(self, frames: Iterable[bytes]) -> list[Left]:
        """Frames in, and out as long as it takes."""
        self.send(frames)
        self.run()
        return self.left()

    def run(self, cycles: int = PATIENCE) -> None:
        """Until nothing is inside."""
        assert self.lib.tiara_sim_run(self._sim, cycles), "the card did not come to rest"

    def behave(self, memory: Memory) -> None:
        """From now on as said, but for the seed."""
        config = self.ffi.new("struct tiara_sim_config *", vars(memory))
        self.lib.tiara_sim_configure(self._sim, config)

    def step(self, cycles: int) -> None:
        """Cycles pass."""
        self.lib.tiara_sim_step(self._sim, cycles)

    @property
    def cycle(self) -> int:
        """Cycles that passed."""
        return int(self.lib.tiara_sim_cycles(self._sim))

    def memory(self) -> Any:
        """struct tiara_sim_memory_stats."""
        stats = self.ffi.new("struct tiara_sim_memory_stats *")
        self.lib.tiara_sim_memory(self._sim, stats)
        return stats

    def poke(self, bucket: int, made: Any) -> None:
        """A bucket straight into memory; made is a struct tiara_bucket."""
        self.lib.tiara_sim_poke(self._sim, bucket, made)

    def peek(self, slot: int) -> bytes:
        """16 bytes of a slot as memory has them."""
        bucket = self.ffi.new("struct tiara_bucket *")
        self.lib.tiara_sim_peek(self._sim, slot // 4, bucket)
        return bytes(self.ffi.buffer(bucket))[slot % 4 * 16 :][:16]
