# SPDX-License-Identifier: Apache-2.0
"""Writes the C source of the extension: ``build_libtiara.py libtiara.cdef out.c``.

API mode: the compiler checks every size and offset of the declarations against the header.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI


def main() -> None:
    """Called by the build."""
    declarations, output = sys.argv[1:]
    ffi = FFI()
    ffi.cdef(Path(declarations).read_text(encoding="utf-8"))
    ffi.set_source("tiara.native._libtiara", '#include "tiara/tiara.h"')
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main()
