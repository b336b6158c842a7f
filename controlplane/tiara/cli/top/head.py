# SPDX-License-Identifier: Apache-2.0
"""The upper lines of the screen: the balancer as a whole."""

from rich.text import Text

from tiara.cli import output, values
from tiara.cli.top.look import Change

INDENT = 10
BAR = 24


def rate(number: float) -> str:
    """As 950, 12.3k, 4.56M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{number:,.0f}"


def bits(bytes_per_s: float) -> str:
    """As 812Mb."""
    return f"{rate(8 * bytes_per_s)}b"


def lines(change: Change, width: int, paused: bool) -> list[Text]:
    """The balancer, its packets, its table, who forwards, its workers, its verdicts."""
    parts = [_title(change, paused), _packets(change), _table(change), _tiers(change)]
    parts += [_workers(change, width), _verdicts(change, width)]
    return [part for part in parts if part is not None]


def _title(change: Change, paused: bool) -> Text:
    node = change.now.node
    live = ("data plane running", "green") if node.dataplane_live else ("data plane not running", "red")
    state = f"workers {node.workers_online}, {node.workers_awake} awake  revision {node.applied_revision}"
    behind = f" of {node.stored_revision}" if node.stored_revision != node.applied_revision else ""
    return Text.assemble(
        (f"{values.short(node.name)}  ", "bold"),
        f"{values.now():%H:%M:%S} UTC  ",
        *(live, f"  {state}", (behind, "yellow"), ("  paused" if paused else "", "yellow")),
    )


def _packets(change: Change) -> Text:
    def of(field: str) -> float:
        return change.rate(lambda look: int(getattr(look.statistics, field)))

    new = change.rate(lambda look: sum(s.connections_total for s in look.statistics.services))
    words = [
        f"in {rate(of('rx_packets'))}/s {bits(of('rx_bytes'))}/s",
        f"out {rate(of('tx_packets'))}/s {bits(of('tx_bytes'))}/s",
        f"new connections {rate(new)}/s",
    ]
    return output.wrap("packets", words, INDENT, 1000)


def _table(change: Change) -> Text:
    capacity, tracked = change.now.statistics.connection_capacity, change.now.tracked
    part = tracked / capacity if capacity else 0.0
    words = f" {values.share(part)}  {values.count(tracked)} of {values.count(capacity)}"
    return Text.assemble(
        ("table".ljust(INDENT), "bold"), bar(part, "yellow" if part >= 0.8 else "green"), words
    )


def _tiers(change: Change) -> Text:
    cpu, card = change.verdict("forwarded"), change.verdict("forwarded_by_card")
    part = card / (cpu + card) if cpu + card else 0.0
    words = f" card {values.share(part)}  card {rate(card)}/s  cpu {rate(cpu)}/s"
    return Text.assemble(("tiers".ljust(INDENT), "bold"), bar(part, "cyan"), words)


def bar(part: float, style: str) -> Text:
    """Full to this part."""
    full = min(BAR, round(part * BAR))
    return Text.assemble(("█" * full, style), ("░" * (BAR - full), "dim"))


def _workers(change: Change, width: int) -> Text:
    busy = [f"{w.worker}: {values.share(w.busy_share)}" for w in change.now.statistics.workers]
    return output.wrap("busy", busy or ["no worker has run"], INDENT, width)


def _verdicts(change: Change, width: int) -> Text:
    rates = {name: change.verdict(name) for name in change.now.statistics.verdicts}
    largest = sorted(rates, key=lambda name: (-rates[name], name))
    words = [f"{name} {rate(rates[name])}/s" for name in largest if rates[name]] or ["none"]
    return output.wrap("verdicts", words, INDENT, width).split("\n")[0]
