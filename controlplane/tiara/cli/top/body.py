# SPDX-License-Identifier: Apache-2.0
"""The lists of services and backends, and one of them in detail."""

from collections.abc import Sequence

from rich.text import Text

from tiara.cli import backend, output, values
from tiara.cli.top.head import bits, rate
from tiara.cli.top.look import Change, Service, pool_of
from tiara.cli.top.state import State
from tiara.v1 import connection_pb2

_SERVICE_TITLES = ["Service", "Frontend", "Pool", ">Packets/s", ">Bits/s", ">New/s", ">Refused/s"]
_BACKEND_TITLES = [
    "Backend",
    "Health",
    "State",
    ">Packets/s",
    ">Bits/s",
    ">New/s",
    ">Live",
    ">Share",
    ">Want",
]
_SAMPLE_TITLES = ["Prot", "Client", "Frontend", "Backend", "State", ">Idle"]
_BY = ("", "packets", "connections_total")


def row_of(key: Service) -> str:
    """The row of a frontend."""
    return " ".join(key)


def services(change: Change, state: State) -> list[Service]:
    """Frontends in the order that was chosen; in detail, those of it alone."""
    chosen = [key for key in change.now.services if _of_service(change, key, state.subject)]
    field = _BY[state.sort]
    return sorted(chosen, key=lambda key: (-change.service(key, field) if field else 0.0, key))


def backends(change: Change, state: State) -> list[str]:
    """Backends likewise; of a service, those of its pool."""
    chosen = [name for name in change.now.members if _of_backend(change, name, state.subject)]
    field = _BY[state.sort]
    return sorted(chosen, key=lambda name: (-change.backend(name, field) if field else 0.0, name))


def _of_service(change: Change, key: Service, subject: str) -> bool:
    name = key[0]
    return subject in ("", name) or change.now.pools.get(name) == pool_of(subject)


def _of_backend(change: Change, name: str, subject: str) -> bool:
    return subject in ("", name) or change.now.pools.get(subject) == pool_of(name)


def rows(change: Change, state: State) -> list[str]:
    """What can be selected, from above."""
    return [*map(row_of, services(change, state)), *backends(change, state)]


def lines(change: Change, state: State) -> list[tuple[str, Text]]:
    """Each line with the row that it is; empty: none that can be selected."""
    found = services(change, state)
    members = backends(change, state)
    above = _table(_SERVICE_TITLES, [_service(change, key) for key in found], list(map(row_of, found)))
    below = _table(_BACKEND_TITLES, [_backend(change, name) for name in members], members)
    return [*above, ("", Text()), *below, *(_sample(change.now.sample) if state.detail else [])]


def _table(titles: list[str], cells: list[list[output.Cell]], names: list[str]) -> list[tuple[str, Text]]:
    return list(zip(["", *names], output.table(titles, cells).split("\n"), strict=True))


def _service(change: Change, key: Service) -> list[output.Cell]:
    return [
        values.short(key[0]),
        key[1],
        values.short(change.now.pools.get(key[0], "")) or "-",
        rate(change.service(key, "packets")),
        bits(change.service(key, "bytes")),
        rate(change.service(key, "connections_total")),
        rate(change.service(key, "refused_packets")),
    ]


def _backend(change: Change, name: str) -> list[output.Cell]:
    found, counted = change.now.backends.get(name), change.now.members[name]
    return [
        values.short(name),
        backend.health_text(found) if found else "-",
        backend.state_text(found) if found else "removed",
        rate(change.backend(name, "packets")),
        bits(change.backend(name, "bytes")),
        rate(change.backend(name, "connections_total")),
        values.count(counted.tracked_connections),
        values.share(change.now.share(name)),
        values.share(counted.wanted_share),
    ]


def _sample(found: Sequence[connection_pb2.Connection]) -> list[tuple[str, Text]]:
    if not found:
        return [("", Text()), ("", Text("no connections", "dim"))]
    cells: list[list[output.Cell]] = [
        [
            values.protocol(one.protocol),
            f"{one.client_address}:{one.client_port}",
            f"{one.address}:{one.port}",
            values.short(one.backend) or "removed",
            values.state(one.state),
            values.duration(one.idle),
        ]
        for one in found
    ]
    return [("", Text()), *_table(_SAMPLE_TITLES, cells, [""] * len(cells))]
