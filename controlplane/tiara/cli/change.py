# SPDX-License-Identifier: Apache-2.0
"""What a plan or a past write changes, as people read it."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from google.protobuf import json_format
from rich.text import Text

from tiara.cli import output, values
from tiara.v1 import configuration_pb2 as pb
from tiara.v1 import virtual_service_pb2

_SIGN = {
    pb.CHANGE_ACTION_ADD: Text("+", "green"),
    pb.CHANGE_ACTION_CHANGE: Text("~", "yellow"),
    pb.CHANGE_ACTION_REMOVE: Text("-", "red"),
    pb.CHANGE_ACTION_REPLACE: Text("-/+", "red"),
}
_WORD = {
    pb.CHANGE_ACTION_ADD: "added",
    pb.CHANGE_ACTION_CHANGE: "changed",
    pb.CHANGE_ACTION_REPLACE: "replaced",
    pb.CHANGE_ACTION_REMOVE: "removed",
}
_NAMED = 3
"""Resources that a short summary names."""


def table(changes: Sequence[pb.ResourceChange], *, counted: bool = False) -> Text:
    """A line for each field that changes; with live connections where they were counted."""
    titles = ["", "Resource", *([">Connections"] if counted else []), "Field", "Value"]
    return output.table(titles, [row for change in changes for row in _rows(change, counted)])


def _rows(change: pb.ResourceChange, counted: bool) -> Iterable[list[output.Cell]]:
    fields = _fields(change) or [("", "")]
    for at, (path, value) in enumerate(fields):
        affected = values.count(change.affected_connections) if change.affected_connections else ""
        head: list[output.Cell] = [sign(change), values.titled(change.name), *([affected] if counted else [])]
        yield [*(head if at == 0 else [""] * len(head)), path, value]


def _fields(change: pb.ResourceChange) -> list[tuple[str, str]]:
    """Nothing of what is removed: it is gone as a whole. Of what is new, not whose it is."""
    if change.action == pb.CHANGE_ACTION_REMOVE:
        return []
    if change.action == pb.CHANGE_ACTION_ADD:
        return [
            (field.path, plain(field.path, field.after)) for field in change.fields if field.path != "owner"
        ]
    return [(field.path, _both(field)) for field in change.fields]


def _both(field: pb.FieldChange) -> str:
    return f"{plain(field.path, field.before)} -> {plain(field.path, field.after)}"


def plain(path: str, text: str) -> str:
    """A field's JSON value without what only JSON needs."""
    if not text:
        return "not set"
    try:
        value = json.loads(text)
        return _frontends(value) if path == "frontends" else _plain(value, text)
    except (ValueError, TypeError, json_format.ParseError):
        return text


def _plain(value: object, text: str) -> str:
    return value if isinstance(value, str) and value else text


def _frontends(value: list[dict[str, object]]) -> str:
    found = [json_format.ParseDict(one, virtual_service_pb2.Frontend()) for one in value]
    return ", ".join(values.frontend(frontend) for frontend in found)


def sign(change: pb.ResourceChange) -> Text:
    """+, ~, - or -/+."""
    return _SIGN.get(change.action, Text("?"))


def totals(changes: Iterable[pb.ResourceChange]) -> str:
    """As "2 added, 1 removed"."""
    counted = Counter(change.action for change in changes)
    return ", ".join(f"{values.count(counted[a])} {word}" for a, word in _WORD.items() if counted[a])


def summary(changes: Sequence[pb.ResourceChange]) -> Text:
    """In one line: the first few by name."""
    named = [Text.assemble(sign(change), " ", values.titled(change.name)) for change in changes[:_NAMED]]
    if len(changes) > _NAMED:
        named.append(Text(f"and {values.count(len(changes) - _NAMED)} more"))
    return Text(", ").join(named)
