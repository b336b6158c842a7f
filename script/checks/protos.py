# SPDX-License-Identifier: Apache-2.0
"""The API's descriptors with their comments and declared bounds, from the proto files of the tree."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from .tree import Tree, run

PACKAGE = "tiara.v1"
OPTIONS_FILE = "tiara/v1/bounds.proto"

_FIELD, _ENUM_VALUE, _METHOD, _NESTED = 2, 2, 2, 3
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6


class ProtocError(Exception):
    """What protoc complains of."""


@dataclass(frozen=True)
class Place:
    """Where something stands in a file, and the comment above it."""

    line: int
    comment: str


class Protos:
    """Use ``Protos.read(tree)``. Kept apart from the generated stubs, which may be stale."""

    def __init__(self, found: descriptor_pb2.FileDescriptorSet) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._places: dict[str, dict[tuple[int, ...], Place]] = {}
        for file in found.file:
            self._places[file.name] = dict(_places(file))
            file.ClearField("source_code_info")
            self._pool.AddSerializedFile(file.SerializeToString())
        self.files: list[FileDescriptor] = [
            self._pool.FindFileByName(file.name) for file in found.file if file.package == PACKAGE
        ]

    @classmethod
    def read(cls, tree: Tree) -> Protos:
        """Raises ``ProtocError``."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "set.binpb"
            options = ["-Iproto", "--include_imports", "--include_source_info"]
            protos = tree.under("proto", ends=(".proto",))
            out = f"--descriptor_set_out={path}"
            done = run(tree, sys.executable, "-m", "grpc_tools.protoc", *options, out, *protos)
            if done.returncode:
                raise ProtocError(done.stderr.strip())
            return cls(descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()))

    def place(self, thing: Any) -> Place:
        """Of a message, field, enum, enum value, service or method."""
        return self._places[_file_of(thing).name].get(_path_of(thing), Place(0, ""))

    def where(self, thing: Any) -> str:
        """ "file:line" below the root."""
        return f"proto/{_file_of(thing).name}:{self.place(thing).line}"

    def bounds(self, field: FieldDescriptor) -> Any:
        """The field's ``tiara.v1.Bounds``."""
        return self._option(field, "google.protobuf.FieldOptions", "bounds")

    def one_required(self, oneof: Any) -> bool:
        """Whether one of its fields must be set."""
        return bool(self._option(oneof, "google.protobuf.OneofOptions", "one_required"))

    def max_request_bytes(self, message: Descriptor) -> int:
        """0: the server's default."""
        return int(self._option(message, "google.protobuf.MessageOptions", "max_request_bytes"))

    @cached_property
    def requests(self) -> list[Descriptor]:
        """Messages that clients send: those of methods and all below them, each once."""
        found: dict[str, Descriptor] = {}
        waiting = [
            method.input_type
            for file in self.files
            for service in file.services_by_name.values()
            for method in service.methods
        ]
        while waiting:
            message = waiting.pop(0)
            if message.full_name not in found and message.file.package == PACKAGE:
                found[message.full_name] = message
                waiting += [kind for field in message.fields if (kind := _below(field))]
        return list(found.values())

    def _option(self, thing: Any, kind: str, name: str) -> Any:
        options = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(kind))
        raw = thing.GetOptions().SerializeToString()
        extension = self._pool.FindExtensionByName(f"{PACKAGE}.{name}")
        found: Any = options.FromString(raw)
        return found.Extensions[extension]


def _below(field: FieldDescriptor) -> Descriptor | None:
    kind = field.message_type
    return None if kind is None or kind.GetOptions().map_entry else kind


def _places(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], Place]]:
    for location in file.source_code_info.location:
        comment = location.leading_comments.strip().replace("\n ", "\n")
        yield tuple(location.path), Place(location.span[0] + 1, comment)


def _file_of(thing: Any) -> FileDescriptor:
    owner = getattr(thing, "containing_type", None) or getattr(thing, "containing_service", None)
    file: FileDescriptor = getattr(thing, "file", None) or (owner.file if owner else thing.type.file)
    return file


def _path_of(thing: Any) -> tuple[int, ...]:
    """See ``SourceCodeInfo.Location.path`` of google/protobuf/descriptor.proto."""
    if hasattr(thing, "input_type"):
        return (*_path_of(thing.containing_service), _METHOD, thing.index)
    if hasattr(thing, "methods"):
        return (_SERVICE, thing.index)
    if isinstance(thing, FieldDescriptor):
        return (*_path_of(thing.containing_type), _FIELD, thing.index)
    if isinstance(thing, Descriptor) and thing.containing_type:
        outer = thing.containing_type
        return (*_path_of(outer), _NESTED, _position(outer.nested_types_by_name, thing.name))
    if isinstance(thing, Descriptor):
        return (_MESSAGE, _position(thing.file.message_types_by_name, thing.name))
    if hasattr(thing, "values"):
        return (_ENUM, _position(thing.file.enum_types_by_name, thing.name))
    return (*_path_of(thing.type), _ENUM_VALUE, thing.index)


def _position(names: Any, name: str) -> int:
    return list(names).index(name)
