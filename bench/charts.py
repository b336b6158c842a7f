# SPDX-License-Identifier: Apache-2.0
"""Draws the rows of a run: a panel for each question that they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

RATES = (
    "limit.lines",
    "table.hit",
    "table.miss",
    "table.insert",
    "table.touch",
    "table.remove",
    "rte_hash.hit",
    "rte_hash.add",
)
COLUMNS = 2
PAGES = {4096: "4 KiB pages", 2 << 20: "2 MiB pages"}


@dataclass(frozen=True)
class Panel:
    """Which rows, what they are told apart by along the axis and by colour, and how they are drawn."""

    title: str
    unit: str
    scale: float
    wanted: Callable[[Row], bool]
    place: Callable[[Row], Any]
    series: Callable[[Row], str]
    lines: bool = False
    axis: str = "connections"


def page(row: Row) -> str:
    """Its page size in words."""
    return PAGES.get(row["params"].get("page_bytes", 0), "")


def short(number: int) -> str:
    """1, 64 K, 80 M."""
    if number >= 1_000_000 * 0.96:
        return f"{number / 1e6:.0f} M"
    return f"{number // 1024} K" if number >= 1024 else str(number)


def connections(row: Row) -> str:
    """For an axis."""
    return short(row["params"]["connections"])


def largest(rows: list[Row], name: str) -> int:
    """The most connections that an id was measured with."""
    return max((r["params"]["connections"] for r in rows if r["id"] == name), default=0)


def rate_panel(bytes_: int, text: str) -> Panel:
    """The table's rates with one page size."""
    return Panel(
        f"table, {text}",
        "millions a second",
        1e6,
        lambda r: r["id"] in RATES and r["params"]["page_bytes"] == bytes_,
        connections,
        lambda r: str(r["id"]),
    )


def of_largest(rows: list[Row], name: str) -> Callable[[Row], bool]:
    """Rows of an id at its most connections, with the largest pages there are."""
    most = largest(rows, name)
    pages = max((r["params"]["page_bytes"] for r in rows if r["id"] == name), default=0)

    def wanted(row: Row) -> bool:
        params = row["params"]
        return bool(row["id"] == name and params["connections"] == most and params["page_bytes"] == pages)

    return wanted


def size(rows: list[Row], name: str) -> str:
    """The title's end: how many connections."""
    return f"{short(largest(rows, name))} connections"


def panels(rows: list[Row]) -> list[Panel]:
    """All panels; some may have no rows."""
    latency, tail, scaling = (
        of_largest(rows, name) for name in ("path.latency", "table.insert_tail", "table.scaling")
    )
    return [
        *(rate_panel(bytes_, text) for bytes_, text in PAGES.items()),
        *(
            Panel(
                f"path.established, {text}",
                "nanoseconds a packet",
                1,
                lambda r, b=bytes_: r["id"] == "path.established" and r["params"]["page_bytes"] == b,  # type: ignore[misc]
                connections,
                lambda r: str(r["params"]["forward"]),
            )
            for bytes_, text in PAGES.items()
        ),
        Panel(
            f"path.latency, ipip, {size(rows, 'path.latency')}",
            "microseconds",
            1,
            lambda r: latency(r) and r["params"]["forward"] == "ipip",
            lambda r: r["params"]["percent_of_peak"],
            lambda r: str(r["params"]["quantile"]),
            lines=True,
            axis="percent of peak",
        ),
        Panel(
            f"table.insert_tail, table for {size(rows, 'table.insert_tail')}",
            "nanoseconds",
            1,
            tail,
            lambda r: r["params"]["percent_full"],
            lambda r: str(r["params"]["quantile"]),
            lines=True,
            axis="percent of the table full",
        ),
        Panel(
            f"table.scaling, {size(rows, 'table.scaling')}",
            "millions a second",
            1e6,
            scaling,
            lambda r: r["params"]["threads"],
            lambda r: f"{r['params']['operation']}, {r['params']['basis']}",
            lines=True,
            axis="threads",
        ),
        Panel(
            "path.new",
            "millions a second",
            1e6,
            lambda r: (
                r["id"] == "path.new" and r["params"]["forward"] == "ipip" and "measure" not in r["params"]
            ),
            connections,
            page,
        ),
        Panel(
            "api.read, api.write: 1000 services of 100 backends, 4 clients at once",
            "milliseconds",
            1e3,
            lambda r: r["id"] in ("api.read", "api.write"),
            lambda r: r["params"]["measure"],
            lambda r: r["params"]["quantile"],
            axis="call",
        ),
        Panel(
            "plan.time, apply.time: 1000 services of 100 backends in one call",
            "seconds",
            1e6,
            lambda r: r["id"] in ("plan.time", "apply.time"),
            lambda r: f"{r['id']}, {r['params']['measure']}",
            lambda r: "until packets see it" if r["id"] == "apply.time" else "with live connections counted",
            axis="call",
        ),
        Panel(
            "card.lookup: lookups a clock of the simulated card",
            "lookups a clock",
            1,
            lambda r: r["id"] == "card.lookup",
            lambda r: r["params"]["latency_ns"],
            lambda r: "225,000 installs and as many removals a second beside",
            axis="nanoseconds of memory's latency",
        ),
        Panel(
            "card.commands, and path.new before a card",
            "millions a second",
            1e6,
            lambda r: r["id"] == "card.commands" or str(r["params"].get("measure", "")).startswith("entry"),
            connections,
            lambda r: " ".join([r["id"], r["params"].get("measure", "")]),
        ),
        Panel(
            f"card.decision, {size(rows, 'card.decision')}",
            "microseconds",
            1e3,
            of_largest(rows, "card.decision"),
            lambda r: r["params"]["percent_of_peak"],
            lambda r: str(r["params"]["quantile"]),
            lines=True,
            axis="percent of peak",
        ),
        Panel(
            "push.grpc",
            "millions a second",
            1e6,
            lambda r: r["id"] == "push.grpc",
            connections,
            page,
        ),
    ]


def draw_bars(axis: Any, panel: Panel, rows: list[Row]) -> None:
    """A group of bars for each place, a colour for each series."""
    places = list(dict.fromkeys(panel.place(r) for r in rows))
    series = list(dict.fromkeys(panel.series(r) for r in rows))
    width = 0.84 / len(series)
    for i, name in enumerate(series):
        chosen = {panel.place(r): r["best"] / panel.scale for r in rows if panel.series(r) == name}
        at = [places.index(p) + (i - (len(series) - 1) / 2) * width for p in chosen]
        bars = axis.bar(at, list(chosen.values()), width * 0.92, label=name)
        axis.bar_label(bars, fmt="%.3g", padding=2, fontsize=7)
    axis.set_xticks(range(len(places)), places)


def draw_lines(axis: Any, panel: Panel, rows: list[Row]) -> None:
    """A line for each series."""
    for name in dict.fromkeys(panel.series(r) for r in rows):
        points = sorted((panel.place(r), r["best"] / panel.scale) for r in rows if panel.series(r) == name)
        style = "--" if "modelled" in name else "-"
        axis.plot(*zip(*points, strict=True), style, marker="o", label=name)
    axis.set_xticks(sorted({panel.place(r) for r in rows}))
    axis.set_yscale("log")


def draw(rows: list[Row], file: Path) -> None:
    """Best values into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = sorted(rows, key=lambda r: RATES.index(r["id"]) if r["id"] in RATES else len(RATES))
    filled = [(panel, [r for r in rows if panel.wanted(r)]) for panel in panels(rows)]
    filled = [(panel, chosen) for panel, chosen in filled if chosen]
    tall = -(-len(filled) // COLUMNS)
    drawing, axes = pyplot.subplots(tall, COLUMNS, figsize=(15, 4.4 * tall), squeeze=False)
    for axis in axes.flat[len(filled) :]:
        axis.set_visible(False)
    for axis, (panel, chosen) in zip(axes.flat, filled, strict=False):
        (draw_lines if panel.lines else draw_bars)(axis, panel, chosen)
        axis.set_title(panel.title)
        axis.set_ylabel(panel.unit)
        axis.set_xlabel(panel.axis)
        axis.legend(fontsize=8, frameon=False, ncols=2)
        axis.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(file, dpi=100)
