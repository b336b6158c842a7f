# SPDX-License-Identifier: Apache-2.0
"""docs/api-reference.md: services, messages and enums with the comments and bounds of the proto."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

from .protos import OPTIONS_FILE, PACKAGE, Protos

PAGE = "docs/api-reference.md"

_HEAD = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Generated from proto/tiara/v1/*.proto by `script/check generate`: do not edit. -->
# API reference: `tiara.v1`

How the API is used stands in [api.md](api.md); this page lists all of it. A request with a field out
of its bounds is refused with `INVALID_ARGUMENT` and the field's path. A field is optional unless
"required". Requests have at most 4 MiB unless their message says more.
"""

_TYPES = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}
_FORMATS = {
    "FORMAT_ID": "an id",
    "FORMAT_UID": "a uid",
    "FORMAT_IPV4": "an IPv4 address of a host",
    "FORMAT_MAC": "a unicast MAC address",
    "FORMAT_HTTP_PATH": "an HTTP path",
    "FORMAT_HTTP_HOST": "a host",
}


def page(protos: Protos) -> str:
    """The whole page."""
    files = [file for file in protos.files if file.name != OPTIONS_FILE]
    parts = [_HEAD]
    for file in files:
        for service in file.services_by_name.values():
            parts += _service(protos, service)
    parts += _written(protos)
    parts.append("## Messages\n")
    sent = {message.full_name for message in protos.requests}
    for file in files:
        for message in file.message_types_by_name.values():
            parts += _message(protos, message, message.full_name in sent)
    parts.append("## Enums\n")
    for file in files:
        for enum in file.enum_types_by_name.values():
            parts += _enum(protos, enum)
    return "\n".join(parts)


def _written(protos: Protos) -> Iterator[str]:
    """What the words for formats mean."""
    yield "## How text is written\n\n| | |\n|---|---|"
    file = next(file for file in protos.files if file.name == OPTIONS_FILE)
    for value in file.enum_types_by_name["Format"].values:
        if value.name in _FORMATS:
            yield f"| {_FORMATS[value.name]} | {_cell(protos.place(value).comment)} |"
    yield "\nIn a resource's name what stands in braces is an id.\n"


def _service(protos: Protos, service: Any) -> Iterator[str]:
    yield f"## {service.name}\n\n{protos.place(service).comment}\n"
    yield "| method | request | answer | |\n|---|---|---|---|"
    for method in service.methods:
        yield _method(protos, method)
    yield ""


def _method(protos: Protos, method: MethodDescriptor) -> str:
    request = _stream(method.client_streaming) + _linked(method.input_type)
    answer = _stream(method.server_streaming) + _linked(method.output_type)
    return f"| `{method.name}` | {request} | {answer} | {_cell(protos.place(method).comment)} |"


def _stream(streaming: bool) -> str:
    return "stream of " if streaming else ""


def _message(protos: Protos, message: Descriptor, sent: bool) -> Iterator[str]:
    yield f"### {message.name}\n\n{protos.place(message).comment}\n"
    if most := protos.max_request_bytes(message):
        yield f"At most {most >> 20} MiB.\n"
    for oneof in message.oneofs:
        if protos.one_required(oneof):
            names = " or ".join(f"`{field.name}`" for field in oneof.fields)
            yield f"Required: one of {names}.\n"
    if not message.fields:
        return
    yield "| field | type | bounds | |\n|---|---|---|---|" if sent else "| field | type | |\n|---|---|---|"
    for field in sorted(message.fields, key=lambda field: field.number):
        bounds = f" {_bounds(field, protos.bounds(field))} |" if sent else ""
        yield f"| `{field.name}` | {_type(field)} |{bounds} {_cell(protos.place(field).comment)} |"
    yield ""


def _enum(protos: Protos, enum: EnumDescriptor) -> Iterator[str]:
    yield f"### {enum.name}\n\n{protos.place(enum).comment}\n"
    yield "| value | number | |\n|---|---|---|"
    for value in enum.values:
        yield f"| `{value.name}` | {value.number} | {_cell(protos.place(value).comment)} |"
    yield ""


def _type(field: FieldDescriptor) -> str:
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        return f"map of {_type(key)} to {_type(value)}"
    kind = field.message_type or field.enum_type
    name = _linked(kind) if kind else _TYPES[field.type]
    if field.is_repeated:
        return f"list of {name}"
    of = field.containing_oneof
    return f"{name}, one of `{of.name}`" if of and len(of.fields) > 1 else name


def _linked(kind: Any) -> str:
    if kind.file.package != PACKAGE:
        return str(kind.name)
    return f"[{kind.name}](#{kind.name.lower()})"


def _bounds(field: FieldDescriptor, bounds: Any) -> str:
    parts = [
        "required" if bounds.required else "",
        "any" if bounds.free else "",
        _range(bounds, "min", "max", str),
        _range(bounds, "min_ms", "max_ms", _seconds),
        f"a multiple of {_seconds(bounds.step_ms)}" if bounds.step_ms else "",
        f"at most {bounds.max_bytes} bytes" if bounds.max_bytes else "",
        f"at most {bounds.max_items} items" if bounds.max_items else "",
        _format(bounds),
        " or ".join(f"`{pattern}`" for pattern in bounds.resource),
    ]
    return "; ".join(filter(None, parts))


def _format(bounds: Any) -> str:
    values = bounds.DESCRIPTOR.fields_by_name["format"].enum_type.values_by_number
    return _FORMATS[values[bounds.format].name] if bounds.format else ""


def _range(bounds: Any, low: str, high: str, shown: Any) -> str:
    if not bounds.HasField(high):
        return f"{shown(getattr(bounds, low))} or more" if bounds.HasField(low) else ""
    return f"{shown(getattr(bounds, low))} to {shown(getattr(bounds, high))}"


def _seconds(milliseconds: int) -> str:
    days, rest = divmod(milliseconds, 86_400_000)
    return f"{days} days" if days and not rest else f"{milliseconds / 1000:g} s"


def _cell(comment: str) -> str:
    """One line; a pattern's brackets make no link."""
    return " ".join(comment.split()).replace("|", "\\|").replace("](", "]\\(")
