# SPDX-License-Identifier: Apache-2.0
"""Tables for people, proto JSON and YAML for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.text import Text
from ruamel.yaml import YAML

TABLE = "table"
WIDE = "wide"
JSON = "json"
YAML_FORMAT = "yaml"
FORMATS = (TABLE, WIDE, JSON, YAML_FORMAT)

GAP = "  "

Cell = str | int | Text


def table(titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Text:
    """Aligned columns under their titles, as wide as their content; nothing is cut off.

    A title that begins with ">" makes its column right-aligned.
    """
    right = [title.startswith(">") for title in titles]
    head: list[Cell] = [Text(title.removeprefix(">"), "bold") for title in titles]
    lines = [[_text(cell) for cell in row] for row in [head, *rows]]
    widths = [max(line[i].cell_len for line in lines) for i in range(len(titles))]
    return Text("\n").join(_line(line, widths, right) for line in lines)


def _text(cell: Cell) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(str(cell))


def _line(cells: Sequence[Text], widths: Sequence[int], right: Sequence[bool]) -> Text:
    padded = [_pad(cell, width, to_right) for cell, width, to_right in zip(cells, widths, right, strict=True)]
    line = Text(GAP).join(padded)
    line.rstrip()
    return line


def _pad(cell: Text, width: int, to_right: bool) -> Text:
    blank = " " * (width - cell.cell_len)
    return Text.assemble(blank, cell) if to_right else Text.assemble(cell, blank)


def fields(pairs: Sequence[tuple[str, Cell]]) -> Text:
    """One "name  value" line for each pair; pairs with an empty value are left out."""
    shown = [(name, _text(value)) for name, value in pairs if str(value)]
    width = max((len(name) for name, _ in shown), default=0)
    return Text("\n").join(Text.assemble((name.ljust(width), "bold"), GAP, value) for name, value in shown)


def wrap(label: str, words: Sequence[str], indent: int, width: int = 80) -> Text:
    """A label, then words that go on in the next line, under the first, where 80 columns end."""
    lines, line = [], ""
    for word in words:
        longer = f"{line}{GAP}{word}" if line else word
        if line and indent + len(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    lines.append(line)
    body = ("\n" + " " * indent).join(lines)
    return Text.assemble((label.ljust(indent), "bold"), body)


def stack(parts: Sequence[Text | None]) -> Text:
    """Parts under each other with an empty line between."""
    return Text("\n\n").join(part for part in parts if part is not None)


def to_dict(message: Message) -> dict[str, Any]:
    """The canonical proto JSON mapping (camelCase, 64-bit numbers as text), zeros included."""
    plain = MessageToDict(message, always_print_fields_with_no_presence=True)
    ordered: dict[str, Any] = _in_order(plain, message.DESCRIPTOR)
    return ordered


def _in_order(value: Any, descriptor: Any) -> Any:
    """Fields in the API's order, instead of unset ones last; maps by key."""
    if isinstance(value, list):
        return [_in_order(item, descriptor) for item in value]
    if not isinstance(value, dict) or descriptor is None:
        return value
    if descriptor.GetOptions().map_entry:
        return dict(sorted(value.items()))
    fields = {field.json_name: field for field in descriptor.fields if field.json_name in value}
    return {name: _in_order(value[name], field.message_type) for name, field in fields.items()}


def print_json(message: Message, *, one_line: bool = False) -> None:
    """Prints proto JSON."""
    text = json.dumps(to_dict(message), indent=None if one_line else 2, ensure_ascii=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_yaml(message: Message, *, begin: bool = False) -> None:
    """Prints the same as proto JSON in YAML's block style, for a stream with a document's begin."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.explicit_start = begin
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(to_dict(message), sys.stdout)
    sys.stdout.flush()


def console() -> Console:
    """Stdout: colours on a terminal only, lines never folded."""
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def print_text(text: Text) -> None:
    """Prints for people."""
    console().print(text)
