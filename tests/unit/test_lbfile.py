# SPDX-License-Identifier: Apache-2.0
"""lb.yaml: what is read is what was meant, and what is wrong is named with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from tiara.cli import lbfile
from tiara.v1.backend_pool_pb2 import Backend, BackendPool, BackendStatus
from tiara.v1.configuration_pb2 import Configuration

LISTS = ("backend_pools", "backends", "virtual_services")

CAMEL = """
owner: shop
backendPools:
- name: backendPools/web
  forwardingMode: FORWARDING_MODE_L2_DIRECT_RETURN
  healthCheck: {tcp: {port: 80}, interval: 5s}
  failOpen: true
backends:
- {name: backendPools/web/backends/b1, address: 198.18.0.11, weight: 0}
"""
SNAKE = CAMEL.replace("backendPools:", "backend_pools:").replace("failOpen", "fail_open")


def parse(text: str) -> Configuration:
    """A text that is right."""
    return lbfile.parse("lb.yaml", text).configuration


def faults(text: str) -> list[str]:
    """What is said about a text that is wrong, a line each."""
    with pytest.raises(lbfile.BadFile) as raised:
        lbfile.parse("lb.yaml", text)
    assert raised.value.exit_code == 1
    return [line.strip() for line in raised.value.message.splitlines()]


def test_both_kinds_of_keys_and_json() -> None:
    """As json_format takes them, in YAML and in JSON."""
    wanted = parse(CAMEL)
    assert wanted.owner == "shop"
    assert wanted.backend_pools[0].fail_open
    assert wanted.backend_pools[0].health_check.interval.seconds == 5
    assert wanted.backends[0].HasField("weight")
    assert parse(SNAKE) == wanted
    assert parse(json.dumps(json_format.MessageToDict(wanted), indent=1)) == wanted


def test_names_and_null_are_as_in_json() -> None:
    """Enums by name or number; null is not set."""
    text = "backendPools: [{name: a, forwardingMode: 3, healthCheck: null, vxlan: ~}]\nbackends: null\n"
    found = parse(text).backend_pools[0]
    assert found == BackendPool(name="a", forwarding_mode=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "backends: [{name: a, adress: x}]",
            ":1:22: backends[0]: 'adress' is no field of a Backend; did you",
        ),
        ("x: 1", ":1:1: 'x' is no field of a Configuration: one of owner, backendPools, backends, virtual"),
        (
            "backends:\n- name: a\n  port: http",
            ":3:9: backends[0].port: http is not a whole number from 0 to",
        ),
        ("backends: [{name: a, port: -1}]", ":1:28: backends[0].port: -1 is not a whole number"),
        ("backends: [{name: a, port: 4294967296}]", ":1:28: backends[0].port: 4294967296 is not a whole"),
        ("backends: [{name: a, port: true}]", ":1:28: backends[0].port: true is not a whole number"),
        ("backends: [{name: a, port: 1.5}]", ":1:28: backends[0].port: 1.5 is not a whole number"),
        ("backends: [{name: a, port: [1]}]", ":1:28: backends[0].port: a list is not a whole number"),
        ("owner: 7", ":1:8: owner: 7 is not text: put it in quotes"),
        ("owner: {a: 1}", ":1:8: owner: fields is not text"),
        ("backendPools: [{name: a, failOpen: yes}]", ":1:36: backend_pools[0].fail_open: yes is not true or"),
        ("backendPools: [{name: a, vxlan: 7}]", ":1:33: backend_pools[0].vxlan: must be the fields of a Vx"),
        ("backends: {a: 1}", ":1:11: backends: must be a list, not fields"),
        ("backends: [null]", ":1:12: backends[0]: must be the fields of a Backend, not nothing"),
        ("- a", ":1:1: must be the fields of a Configuration, not a list"),
        ("hello", ":1:1: must be the fields of a Configuration, not hello"),
        (
            "backendPools: [{name: a, healthCheck: {interval: 5}}]",
            ':1:50: backend_pools[0].health_check.interval: 5 is not a duration in seconds, as "5s"',
        ),
        (
            "backendPools: [{name: a, healthCheck: {interval: 1m}}]",
            ":1:50: backend_pools[0].health_check.interval: 1m is not a duration",
        ),
        (
            "backendPools: [{name: a, healthCheck: {tcp: {port: 1}, http: {port: 1}}}]",
            ":1:56: backend_pools[0].health_check.http: cannot be set beside tcp: choose one",
        ),
        (
            "backendPools: [{name: a, forwardingMode: ipip}]",
            ":1:42: backend_pools[0].forwarding_mode: ipip is not a ForwardingMode; did you mean FORWARDING",
        ),
        (
            "backendPools: [{name: a, forwardingMode: nat}]",
            ":1:42: backend_pools[0].forwarding_mode: nat is not one of FORWARDING_MODE_L2_DIRECT_RETURN, ",
        ),
        ("backends: [{name: a, weight: 1, weight: 2}]", ":1:33: backends[0].weight: is set twice"),
        ("backends: []\nbackends: []", ":2:1: backends: is set twice"),
        ("backendPools: []\nbackend_pools: []", ":2:1: backend_pools: is set twice"),
        ("backends: [{address: 198.18.0.1}]", ":1:12: backends[0].name: is not set"),
        ("<<: {owner: a}", ":1:1: '<<' is no field of a Configuration"),
        ("? [a]\n: 1", ":1:3: 'a list' is no field of a Configuration"),
        ("owner: [a", ":1:10: expected ',' or ']'"),
        ("owner: 'a", ":1:10: found unexpected end of stream"),
        ("\towner: a", ":1:1: found character '\\t' that cannot start any token"),
        ("owner: a\n---\nowner: b", ":2:1: but found another document"),
        ("owner: &a [*a]", ":1:8: owner: a list is not text"),
        ("owner: *a", ":1:8: found undefined alias"),
        ("owner: \x01", ": unacceptable character"),
        ("", ": is empty; a configuration without resources is {}"),
        ("# only a comment", ": is empty"),
        ("[" * 1500, ": is nested too deeply"),
    ],
)
def test_faults_are_named_with_their_place(text: str, wanted: str) -> None:
    """File, line, column, field, and what to do."""
    (line,) = faults(text)
    assert line.startswith("lb.yaml" + wanted), line


def test_two_resources_of_one_name_are_refused() -> None:
    """With the line of the first."""
    text = "backends:\n- name: a\n- name: b\n- name: a\n"
    assert faults(text) == ["lb.yaml:4:9: backends[2].name: a is in line 2 already"]


def test_all_faults_are_told_at_once_in_their_order() -> None:
    """Up to a number that fits on a screen."""
    many = "backends:\n" + "".join(f"- {{name: b{i}, port: x}}\n" for i in range(30))
    lines = faults(many)
    assert len(lines) == lbfile.FAULTS_SHOWN + 1
    assert lines[0].startswith("lb.yaml:2:")
    assert lines[-1] == "and 10 more"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("owner", (2, 8)),
        ("backend_pools[0].health_check.tcp.port", (6, 29)),
        ("backend_pools[0].health_check.interval", (6, 44)),
        ("backend_pools[0].health_check", (6, 3)),
        ("backends[0].weight", (9, 70)),
        ("backends[0].port", (9, 3)),
        ("backends[7].port", (8, 1)),
        ("backends", (8, 1)),
        ("virtual_services[0]", (2, 1)),
        ("", (2, 1)),
    ],
)
@pytest.mark.parametrize("text", [CAMEL, SNAKE])
def test_where_a_field_stands(text: str, path: str, place: tuple[int, int]) -> None:
    """Whatever the spelling of its key; of what is not set, what it would be in."""
    file = lbfile.parse("lb.yaml", text)
    assert file.where(path) == file.where(path.replace("health_check", "healthCheck")) == place


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    """Neither text of another encoding nor a folder ends in a stack trace."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("owner: ä".encode("latin-1"))
    with pytest.raises(lbfile.BadFile, match="byte 8 is not UTF-8"):
        lbfile.load(latin)
    with pytest.raises(lbfile.BadFile, match="cannot be read: Is a directory"):
        lbfile.load(tmp_path)


# What is written


def stored() -> Configuration:
    """As a server exports it."""
    backend = Backend(
        name="backendPools/web/backends/b1",
        uid="0" * 32,
        address="198.18.0.11",
        weight=0,
        etag="e",
        revision=7,
        owner="shop",
        status=BackendStatus(health=1, draining=True, reason="drained for repair", drained=True),  # type: ignore[arg-type]
    )
    backend.create_time.FromSeconds(1)
    up = Backend(name="backendPools/web/backends/b2", address="198.18.0.12", status=BackendStatus(health=1))  # type: ignore[arg-type]
    pool = BackendPool(name="backendPools/web", uid="1" * 32, etag="e", revision=3, owner="shop")
    return Configuration(backend_pools=[pool], backends=[backend, up])


def test_an_export_has_wishes_only() -> None:
    """What the server sets is left out, and so is who declared it."""
    assert lbfile.dump(lbfile.wishes(stored(), whole=False)) == (
        "backendPools:\n- name: backendPools/web\n"
        "backends:\n- name: backendPools/web/backends/b1\n  address: 198.18.0.11\n  weight: 0\n"
        "- name: backendPools/web/backends/b2\n  address: 198.18.0.12\n"
    )


def test_a_backup_keeps_owners_and_operators_overrides() -> None:
    """But nothing that is only observed."""
    kept = lbfile.wishes(stored(), whole=True)
    assert kept.backend_pools[0] == BackendPool(name="backendPools/web", owner="shop")
    assert kept.backends[0].owner == "shop"
    assert kept.backends[0].status == BackendStatus(draining=True)
    assert not kept.backends[1].HasField("status")


def test_a_header_is_comments() -> None:
    """Which the reader passes over."""
    text = lbfile.dump(Configuration(owner="shop"), ["of revision 7", "back: tiara restore"])
    assert text == "# of revision 7\n# back: tiara restore\nowner: shop\n"
    assert parse(text) == Configuration(owner="shop")


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Any value that a field of this kind can hold."""
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    ranges = {
        FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
        FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    }
    if field.cpp_type in ranges:
        return st.integers(*ranges[field.cpp_type])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.floats(allow_nan=False, width=32)
    assert field.type == FieldDescriptor.TYPE_STRING, field.full_name
    tricky = [
        "5s",
        "yes",
        "null",
        "~",
        "1e3",
        "0x10",
        "- a",
        "a: b",
        "# a",
        "'",
        '"',
        "a\nb",
        " a ",
        "198.18.0.1",
    ]
    return st.sampled_from(tricky) | st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor) -> Message:
    """Any message of a kind."""
    made = GetMessageClass(descriptor)()
    if descriptor.full_name == "google.protobuf.Duration":
        made.seconds = draw(st.integers(-315_576_000_000, 315_576_000_000))  # type: ignore[attr-defined]
        return made
    if descriptor.full_name == "google.protobuf.Timestamp":
        made.seconds = draw(st.integers(-62_135_596_800, 253_402_300_799))  # type: ignore[attr-defined]
        return made
    for field in descriptor.fields:
        wanted = field.message_type
        values = messages(wanted) if wanted is not None else scalars(field)
        if field.is_repeated:
            getattr(made, field.name).extend(draw(st.lists(values, max_size=2)))
        elif draw(st.booleans()):
            value = draw(values)
            if wanted is not None:
                getattr(made, field.name).CopyFrom(value)
            else:
                setattr(made, field.name, value)
    return made


@settings(max_examples=200, deadline=None)
@given(made=messages(Configuration.DESCRIPTOR))
def test_any_configuration_comes_back_as_it_was_written(made: Any) -> None:
    """YAML loses nothing, whatever the text in it looks like."""
    for kind in LISTS:
        for at, resource in enumerate(getattr(made, kind)):
            resource.name = f"{at}{resource.name}"
    assert lbfile.parse("lb.yaml", lbfile.dump(made)).configuration == made
