# SPDX-License-Identifier: Apache-2.0
"""Writes every file made from layout.h, or with --check says which of them are stale.

Usage: python dataplane/layout/generate.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from tiara_layout import dwarf, emit_c, emit_page, emit_python, emit_rtl
from tiara_layout.description import Layout, LayoutError

INCLUDE = Path("dataplane/include")
MENDED_BY = "script/check generate"

# Sizes that the design promises, in bytes: a change here is a change of plan, not of a detail.
PROMISED_BYTES = {
    "tiara_entry": 16,
    "tiara_tentative": 16,
    "tiara_bucket": 64,
    "tiara_service": 64,
    "tiara_backend": 32,
    "tiara_frontend": 16,
    "tiara_root": 128,
    "tiara_neighbour": 16,
    "tiara_worker_slot": 64,
    "tiara_flow_counter": 32,
    "tiara_source": 8,
    "tiara_rate": 64,
    "tiara_packed_connection": 16,
}
WHOLE_LINES = ("tiara_worker_counters", "tiara_segment")


def read_layout(root: Path) -> Layout:
    """The checked layout of a source tree."""
    layout = dwarf.read_header(root / INCLUDE / "tiara/layout.h", [root / INCLUDE])
    for struct in layout.structs:
        promised = PROMISED_BYTES.get(struct.name)
        if promised not in (None, struct.size_bytes):
            raise LayoutError(f"struct {struct.name}: {struct.size_bytes} bytes, the design says {promised}")
        if struct.name in WHOLE_LINES and struct.size_bytes % 64:
            raise LayoutError(f"struct {struct.name}: {struct.size_bytes} bytes are no whole cache lines")
    return layout


def outputs(root: Path) -> dict[Path, str]:
    """Text of each generated file by its path below the root."""
    include = root / INCLUDE
    layout = read_layout(root)
    text = {name: (include / f"tiara/{name}.h").read_text() for name in ("layout", "status", "tiara")}
    call_enums = tuple(
        enum
        for name in ("status", "tiara")
        for enum in dwarf.read_header_enums(include / f"tiara/{name}.h", [include])
    )
    return {
        Path("controlplane/tiara/native/libtiara.cdef"): emit_c.cdef(layout, text["status"], text["tiara"]),
        Path("controlplane/tiara/domain/layout.py"): emit_python.module(layout, call_enums),
        Path("dataplane/layout/layout_id.h"): emit_c.layout_id_header(layout),
        Path("docs/layout.md"): emit_page.page(layout, text["layout"]),
        Path("fpga/rtl/tiara_layout_pkg.sv"): emit_rtl.package(layout),
    }


def stale(root: Path) -> list[Path]:
    """Generated files that differ from what the headers make now."""
    return [
        path
        for path, text in outputs(root).items()
        if not (root / path).is_file() or (root / path).read_text() != text
    ]


def write(root: Path) -> list[Path]:
    """Writes the stale ones and returns their paths."""
    made = outputs(root)
    changed = stale(root)
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(made[path])
    return changed


def main(argv: list[str]) -> int:
    root = Path(__file__).resolve().parents[2]
    try:
        if argv == ["--check"]:
            changed = stale(root)
            for path in changed:
                print(f"{path}: differs from what layout.h makes: run `{MENDED_BY}`")
            return 1 if changed else 0
        for path in write(root):
            print(f"wrote {path}")
    except LayoutError as error:
        print(f"dataplane/include/tiara/layout.h: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
