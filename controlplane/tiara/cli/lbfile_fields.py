# SPDX-License-Identifier: Apache-2.0
"""The fields of a YAML document as a message's; what is wrong with them, and where."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_NULL = "tag:yaml.org,2002:null"
_TYPED = {_NULL} | {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float")}
_SHOWN = 60
"""Characters of a wrong value in a message."""

_WANTED = {
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_INT32: "a whole number",
    FieldDescriptor.CPPTYPE_INT64: "a whole number",
    FieldDescriptor.CPPTYPE_STRING: "text: put it in quotes",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number from 0 to 4294967295",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number from 0 to 18446744073709551615",
}
_KNOWN_TYPES = {
    "google.protobuf.Duration": 'a duration in seconds, as "5s" or "0.5s"',
    "google.protobuf.Timestamp": 'a moment, as "2026-01-02T03:04:05Z"',
}


@dataclass(frozen=True, order=True)
class Fault:
    """What is wrong at a place; line and column count from 1. ``field`` may be empty."""

    line: int
    column: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}" if self.field else self.text


def place(node: Node) -> tuple[int, int]:
    """Line and column of a node, from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


class Mapper:
    """Turns nodes into what json_format takes, by a message's descriptor. Faults are collected."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._scalars = YAML(typ="safe", pure=True).constructor

    def message(self, node: Node, descriptor: Descriptor, path: str = "") -> dict[str, Any]:
        """The fields that are set, by their names in the proto."""
        if not isinstance(node, MappingNode):
            self._fault(node, path, f"must be the fields of a {descriptor.name}, not {_kind(node)}")
            return {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            field = self._field(key, descriptor, path)
            if field is None:
                continue
            below = f"{path}.{field.name}" if path else field.name
            if field.name in found:
                self._fault(key, below, "is set twice")
            self._check_choice(key, field, found, below)
            found[field.name] = self._value(value, field, below)
        return found

    def _field(self, key: Node, descriptor: Descriptor, path: str) -> FieldDescriptor | None:
        fields = {name: f for f in descriptor.fields for name in (f.name, f.json_name)}
        if isinstance(key, ScalarNode) and key.value in fields:
            return fields[key.value]
        text = _text(key)
        close = get_close_matches(text, fields, 1)
        hint = (
            f"; did you mean {fields[close[0]].json_name}?"
            if close
            else f": one of {', '.join(_names(descriptor))}"
        )
        self._fault(key, path, f"{text!r} is no field of a {descriptor.name}{hint}")
        return None

    def _check_choice(self, key: Node, field: FieldDescriptor, found: dict[str, Any], path: str) -> None:
        """Of a oneof only one may be set."""
        others = field.containing_oneof.fields if field.containing_oneof else ()
        for other in others:
            if other.name != field.name and found.get(other.name) is not None:
                self._fault(key, path, f"cannot be set beside {other.name}: choose one")

    def _value(self, node: Node, field: FieldDescriptor, path: str) -> Any:
        if node.tag == _NULL:
            return None
        if not field.is_repeated:
            return self._single(node, field, path)
        if not isinstance(node, SequenceNode):
            self._fault(node, path, f"must be a list, not {_kind(node)}")
            return None
        return [self._single(item, field, f"{path}[{i}]") for i, item in enumerate(node.value)]

    def _single(self, node: Node, field: FieldDescriptor, path: str) -> Any:
        wanted = field.message_type
        if wanted is not None and wanted.full_name not in _KNOWN_TYPES:
            return self.message(node, wanted, path)
        value = self._scalar(node)
        if value is None or not _fits(field, value):
            self._fault(node, path, f"{_text(node)} is not {_wanted(field, node)}")
        return value

    def _scalar(self, node: Node) -> Any:
        """None where it is none. Only numbers, booleans and null are more than their text."""
        if not isinstance(node, ScalarNode):
            return None
        if node.tag not in _TYPED:
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (YAMLError, ValueError):
            return node.value

    def _fault(self, node: Node, path: str, text: str) -> None:
        self.faults.append(Fault(*place(node), path, text))


def _fits(field: FieldDescriptor, value: Any) -> bool:
    """What json_format says."""
    assert field.containing_type is not None
    holder = message_factory.GetMessageClass(field.containing_type)()
    try:
        json_format.ParseDict({field.json_name: [value] if field.is_repeated else value}, holder)
    except (json_format.ParseError, AttributeError, TypeError, ValueError):
        return False
    return True


def _wanted(field: FieldDescriptor, node: Node) -> str:
    if field.message_type is not None:
        return _KNOWN_TYPES[field.message_type.full_name]
    if field.enum_type is not None:
        return _enum_wanted(field.enum_type, node)
    return _WANTED[field.cpp_type]


def _enum_wanted(enum: EnumDescriptor, node: Node) -> str:
    names = [value.name for value in enum.values if value.number]
    meant = [name for name in names if name.endswith(f"_{_text(node).upper()}")]
    return f"a {enum.name}; did you mean {meant[0]}?" if meant else f"one of {', '.join(names)}"


def _names(descriptor: Descriptor) -> list[str]:
    return [field.json_name for field in descriptor.fields]


def _text(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        return _kind(node)
    text = str(node.value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "fields"
    if isinstance(node, SequenceNode):
        return "a list"
    return "nothing" if node.tag == _NULL else _text(node)
