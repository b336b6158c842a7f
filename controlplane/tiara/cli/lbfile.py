# SPDX-License-Identifier: Apache-2.0
"""lb.yaml: a tiara.v1.Configuration as YAML or JSON, and where in it each field stands."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from google.protobuf import json_format
from google.protobuf.message import Message
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter

from tiara.cli.errors import CliError
from tiara.cli.lbfile_fields import Fault, Mapper, place
from tiara.cli.options import spinner
from tiara.v1.configuration_pb2 import Configuration

FAULTS_SHOWN = 20

_PREFIX = "configuration."
_STEP = re.compile(r"\w+")
_LISTS = ("backend_pools", "backends", "virtual_services")

# Set by the server; of a status only an operator's wishes are kept, and only by a backup.
_SERVER_SET = ("uid", "etag", "create_time", "revision")
_OBSERVED = ("health", "reason", "drained", "ramp_percent")

FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


class BadFile(CliError):
    """The file is not a configuration, or not one that the server takes."""

    exit_code = 1


@dataclass(frozen=True)
class LbFile:
    """A configuration and the document that it was read from."""

    name: str
    configuration: Configuration
    root: Node

    def where(self, path: str) -> tuple[int, int]:
        """Line and column, from 1, of a field as "backends[3].port"; where it is not set, of what it
        would be in."""
        node, found = self.root, place(self.root)
        for step in map(_snake, _STEP.findall(path)):
            below = _below(node, step)
            if below is None:
                break
            key, node = below
            found = place(key if isinstance(node, MappingNode | SequenceNode) else node)
        return found

    def refused(self, violations: Iterable[tuple[str, str]]) -> BadFile | None:
        """The error of what a server says about the configuration's fields and resources, if anything."""
        faults = [Fault(*self.where(path), path, text) for path, text in self._ours(violations)]
        return bad_file(self.name, faults) if faults else None

    def _ours(self, violations: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        for subject, text in violations:
            if subject.startswith(_PREFIX):
                yield subject.removeprefix(_PREFIX), text.removeprefix(f"{subject}: ")
            elif path := self._path(subject):
                yield path, text

    def _path(self, name: str) -> str:
        """Of the resource with this name; empty: it is not in the file."""
        for kind in _LISTS:
            for i, resource in enumerate(getattr(self.configuration, kind)):
                if resource.name == name:
                    return f"{kind}[{i}]"
        return ""


def _below(node: Node, step: str) -> tuple[Node, Node] | None:
    """The key and value of a field, or an item twice."""
    if isinstance(node, SequenceNode):
        at = int(step) if step.isdecimal() else len(node.value)
        return (node.value[at], node.value[at]) if at < len(node.value) else None
    if not isinstance(node, MappingNode):
        return None
    return next(((key, value) for key, value in node.value if _snake(key.value) == step), None)


def _snake(name: object) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", str(name))


def bad_file(name: str, faults: Iterable[Fault]) -> BadFile:
    """All faults in the order of lines, each as FILE:LINE:COLUMN."""
    lines = [f"{name}:{fault.line}:{fault.column}: {fault}" for fault in sorted(faults)]
    if len(lines) > FAULTS_SHOWN:
        lines[FAULTS_SHOWN:] = [f"and {len(lines) - FAULTS_SHOWN} more"]
    return BadFile("\n  ".join(lines))


def load(path: Path) -> LbFile:
    """Reads a file; - is stdin.

    Raises:
        BadFile: it is no configuration.
    """
    name = "stdin" if str(path) == "-" else str(path)
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        with spinner(f"reading {name}"):
            return parse(name, raw.decode())
    except OSError as error:
        raise BadFile(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"{name}: byte {error.start + 1} is not UTF-8") from error


def parse(name: str, text: str) -> LbFile:
    """Reads a text; ``name`` is for messages.

    Raises:
        BadFile: it is no configuration; all that is wrong is named with line and column.
    """
    root = _compose(name, text)
    mapper = Mapper()
    plain = mapper.message(root, Configuration.DESCRIPTOR)
    if mapper.faults:
        raise bad_file(name, mapper.faults)
    try:
        found = LbFile(name, json_format.ParseDict(plain, Configuration()), root)
    except json_format.ParseError as error:
        raise BadFile(f"{name}: {error}") from error
    if faults := list(_name_faults(found)):
        raise bad_file(name, faults)
    return found


def _compose(name: str, text: str) -> Node:
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise BadFile(f"{name}{place}: {error.problem or error.context}") from error
    except YAMLError as error:
        raise BadFile(f"{name}: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise BadFile(f"{name}: is nested too deeply") from error
    if root is None:
        raise BadFile(f"{name}: is empty; a configuration without resources is {{}}")
    return root


def _name_faults(file: LbFile) -> Iterator[Fault]:
    """Every resource has a name of its own."""
    for kind in _LISTS:
        seen: dict[str, int] = {}
        for i, resource in enumerate(getattr(file.configuration, kind)):
            path = f"{kind}[{i}].name"
            line, column = file.where(path)
            if not resource.name:
                yield Fault(line, column, path, "is not set")
            elif resource.name in seen:
                yield Fault(line, column, path, f"{resource.name} is in line {seen[resource.name]} already")
            else:
                seen[resource.name] = line


class _Representer(SafeRepresenter):
    """Escapes what YAML would fold or take for a line's end."""

    def represent_str(self, data: str) -> ScalarNode:
        """Text, in double quotes where a reader could not see all of it."""
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Representer.add_representer(str, _Representer.represent_str)


def dump(configuration: Configuration, header: Iterable[str] = ()) -> str:
    """As YAML in the API's canonical JSON names; header lines become comments."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.width = 1 << 20
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(json_format.MessageToDict(configuration), text)
    return "".join(f"# {line}\n" for line in header) + text.getvalue()


def owners(found: Configuration) -> list[str]:
    """Who declared any of it."""
    named = {pool.owner for pool in found.backend_pools}
    named |= {backend.owner for backend in found.backends}
    named |= {service.owner for service in found.virtual_services}
    return sorted(named - {""})


def wishes(configuration: Configuration, *, whole: bool) -> Configuration:
    """Without what the server sets. ``whole`` keeps owners, drains and disables for a restore."""
    kept = Configuration()
    kept.CopyFrom(configuration)
    for kind in _LISTS:
        for resource in getattr(kept, kind):
            _clear(resource, _SERVER_SET if whole else (*_SERVER_SET, "owner", "status"))
    if whole:
        for backend in kept.backends:
            _clear(backend.status, _OBSERVED)
            if not backend.status.ListFields():
                backend.ClearField("status")
    return kept


def _clear(message: Message, names: Iterable[str]) -> None:
    for name in names:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
