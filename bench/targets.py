# SPDX-License-Identifier: Apache-2.0
"""What the rows are to reach: each target against a row of the same run, or against a number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Params = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A row and its bound; `of` is the row that the bound is a multiple of, of the same size and pages."""

    row: str
    bound: float
    params: Params = field(default_factory=dict)
    at_most: bool = False
    of: str = ""
    of_params: Params = field(default_factory=dict)


def near(connections: int) -> Params:
    """The path rounds its connections down to a multiple of its buffers."""
    return {"connections": connections}


MILLION = 1_000_000
TARGETS = [
    *(
        Target(row, 2.8, near(n * MILLION), of="rte_hash.hit")
        for row in ("table.hit", "table.miss")
        for n in (1, 16)
    ),
    Target("table.hit", 0.85, near(80 * MILLION), of="limit.lines"),
    Target("table.miss", 0.7, near(80 * MILLION), of="limit.lines"),
    Target("table.insert", 6, near(16 * MILLION), of="rte_hash.add"),
    Target("table.insert", 0.3, near(80 * MILLION), of="limit.lines"),
    Target("table.occupancy", 95, {"budget": "bulk"}),
    Target("table.occupancy", 92, {"budget": "path"}),
    Target("table.bytes", 27, near(80 * MILLION), at_most=True),
    Target("table.sweep", 2, near(80 * MILLION), at_most=True),
    Target("table.churn", 0, {**near(80 * MILLION), "measure": "refused"}, at_most=True),
    Target(
        "table.churn",
        0.95,
        {**near(80 * MILLION), "measure": "lookups_rest"},
        of="table.churn",
        of_params={"measure": "lookups_before"},
    ),
    Target("path.established", 30, {**near(1), "forward": "ipip"}, at_most=True),
    Target("path.established", 40, {**near(65_536), "forward": "ipip"}, at_most=True),
    Target("path.established", 70, {**near(MILLION), "forward": "ipip"}, at_most=True),
    Target("path.new", 10 * MILLION, near(80 * MILLION)),
    Target("push.native", 10 * MILLION, {**near(16 * MILLION), "page_bytes": 2 << 20}),
    Target("push.grpc", 4 * MILLION, {**near(16 * MILLION), "page_bytes": 2 << 20}),
    Target("maglev.fill", 5_000, at_most=True),
    Target("card.lookup", 0.93, {"latency_ns": 400}),
    Target("card.commands", 4 * MILLION, near(MILLION)),
    Target("publish.change", 50_000, at_most=True),
    Target("path.consistency", 0, {"measure": "broken"}, at_most=True),
]


def fits(row: Row, name: str, params: Params) -> bool:
    """Is it a row of this id with these params? Connections may be up to 4 % fewer."""
    found: Params = row["params"]
    for key, value in params.items():
        if key == "connections":
            if not value * 0.96 <= found.get(key, 0) <= value:
                return False
        elif found.get(key) != value:
            return False
    return bool(row["id"] == name)


def peer(rows: list[Row], row: Row, target: Target) -> Row | None:
    """The row that a target is a multiple of, or None."""
    params = {**target.params, **target.of_params, "page_bytes": row["params"]["page_bytes"]}
    params.pop("forward", None)
    return next((r for r in rows if fits(r, target.of, params)), None)


def value_of(rows: list[Row], row: Row, target: Target) -> float | None:
    """The row's best value, or its ratio to its peer's; None: there is no peer."""
    if not target.of:
        return float(row["best"])
    other = peer(rows, row, target)
    return row["best"] / other["best"] if other and other["best"] else None


def describe(row: Row) -> str:
    """The row's name and what tells it from others."""
    p = row["params"]
    words = [str(p[key]) for key in ("budget", "measure", "forward", "backends", "latency_ns") if key in p]
    words += [f"{p['connections']:,}"] if "connections" in p else [f"{p['buckets'] * 4:,} slots"]
    words += [{4096: "4 KiB", 2 << 20: "2 MiB"}[p["page_bytes"]]] if "page_bytes" in p else []
    return " ".join([row["id"], *words])


def judge(rows: list[Row]) -> Iterator[tuple[bool, str]]:
    """For each row that has a target: was it met, and how that reads."""
    for target in TARGETS:
        for row in (r for r in rows if fits(r, target.row, target.params)):
            value = value_of(rows, row, target)
            if value is None:
                continue
            met = value <= target.bound if target.at_most else value >= target.bound
            unit = f"x {target.of}" if target.of else row["unit"]
            sign = "<=" if target.at_most else ">="
            missed = "" if met or not target.bound else f" by {abs(value / target.bound - 1):.0%}"
            verdict = "met" if met else f"missed{missed}"
            yield met, f"{describe(row):<52} {value:>14,.2f} {sign} {target.bound:,g} {unit:<16} {verdict}"


def show(rows: list[Row]) -> None:
    """Targets, one a line; nothing where no row has one."""
    lines = [text for _, text in judge(rows)]
    if lines:
        print("\ntargets")
    for text in lines:
        print(text)
