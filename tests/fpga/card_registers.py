# SPDX-License-Identifier: Apache-2.0
"""The card's registers by name, as fpga/rtl/registers.toml has them."""

from __future__ import annotations

import tomllib
from pathlib import Path

REGISTERS = tomllib.loads((Path(__file__).parents[2] / "fpga/rtl/registers.toml").read_text())
OFFSETS: dict[str, int] = {register["name"]: register["offset"] for register in REGISTERS["register"]}
COUNTERS: dict[str, int] = {counter["name"]: i for i, counter in enumerate(REGISTERS["counter"])}
FIELDS: dict[str, int] = {
    f"{register['name']}.{one['name']}": 1 << one["bit"]
    for register in REGISTERS["register"]
    for one in register.get("field", [])
}
