# SPDX-License-Identifier: Apache-2.0
"""script/check holds the API to its contract: each breach is planted in a copy and must be named."""

from __future__ import annotations

import pytest
from tree_copy import Copy

NODE = "proto/tiara/v1/node.proto"
POOL = "proto/tiara/v1/backend_pool.proto"
REFERENCE = "docs/api-reference.md"


def assert_found(copy: Copy, part: str, path: str, said: str) -> None:
    """The part fails with a line that begins with the path and says why."""
    done = copy.check(part)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith(path)]
    assert any(said in line for line in lines), done.stdout


def test_as_it_is(copy: Copy) -> None:
    """Nothing to mend."""
    done = copy.check("contract")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  string version = 2;", "  string version = 52;", 'field "2" with name "version"'),
        ("  uint64 generation = 13;", "  uint32 generation = 13;", "changed type"),
        ("  string layout_id = 4;", "  string layout = 4;", "changed name"),
        ("  rpc GetNode(", "  rpc FetchNode(", 'RPC "GetNode" on service "NodeService" was deleted'),
    ],
)
def test_broken_since_the_baseline(copy: Copy, old: str, new: str, said: str) -> None:
    """What a client of the last release relies on may not change; the way out is named."""
    copy.edit(NODE, old, new)
    assert_found(copy, "contract", NODE, said)


def test_frozen_it_is_the_new_baseline(copy: Copy) -> None:
    """`script/check freeze` accepts what is there."""
    copy.keep("proto/baseline.binpb")
    copy.edit(NODE, "  string layout_id = 4;", "  string layout = 4;")
    assert copy.check("freeze").returncode == 0
    done = copy.check("contract")
    assert done.returncode == 0, done.stdout


def test_added_is_not_broken(copy: Copy) -> None:
    """A new field with a comment passes."""
    copy.edit(
        NODE,
        "// Gets this node.\n",
        "// One more.\nmessage More {\n  // Text.\n  string a = 1;\n}\n\n// Gets.\n",
    )
    done = copy.check("contract")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("  // Bytes of the clients' frames.\n  uint64 bytes = 3;", "  uint64 bytes = 3;", "Field"),
        ("// Gets this node.\nmessage", "message", "Message"),
        ("  // Reads counters.\n", "", "RPC"),
        ("// This node and its counters.\n", "", "Service"),
    ],
)
def test_no_comment(copy: Copy, old: str, new: str, what: str) -> None:
    """Everything has a comment."""
    copy.edit(NODE, old, new)
    assert_found(copy, "contract", NODE, f'{what} "')


def test_no_comment_on_an_enum_value(copy: Copy) -> None:
    """Values too."""
    copy.edit(POOL, "  // Refused.\n  FORWARDING_MODE_UNSPECIFIED", "  FORWARDING_MODE_UNSPECIFIED")
    assert_found(copy, "contract", POOL, "FORWARDING_MODE_UNSPECIFIED")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("string a = 99;", "GetNodeRequest.a may hold anything"),
        ("bytes a = 99 [(bounds) = {required: true}];", "GetNodeRequest.a may hold anything"),
        ("uint32 a = 99;", "GetNodeRequest.a may hold anything"),
        ("repeated string a = 99 [(bounds) = {max_bytes: 9}];", "GetNodeRequest.a may have any number"),
        ("map<string, string> a = 99;", "GetNodeRequest.a is a map"),
    ],
)
def test_request_without_bounds(copy: Copy, field: str, said: str) -> None:
    """What clients send has bounds or says that it is free."""
    copy.edit(NODE, "message GetNodeRequest {", f"message GetNodeRequest {{\n  // A field.\n  {field}")
    assert_found(copy, "contract", NODE, said)


@pytest.mark.parametrize("bounds", ["max_bytes: 9", "format: FORMAT_ID", "free: true"])
def test_request_with_bounds(copy: Copy, bounds: str) -> None:
    """Any of these will do."""
    field = f"  // A field.\n  string a = 99 [(bounds) = {{{bounds}}}];"
    copy.edit(NODE, "message GetNodeRequest {", f"message GetNodeRequest {{\n{field}")
    done = copy.check("contract")
    assert done.returncode == 0, done.stdout


def test_answers_need_no_bounds(copy: Copy) -> None:
    """They are not checked."""
    copy.edit(
        NODE, "message WaitAppliedResponse {", "message WaitAppliedResponse {\n  // A.\n  string a = 99;"
    )
    done = copy.check("contract")
    assert done.returncode == 0, done.stdout


def test_reference_is_current(copy: Copy) -> None:
    """A new comment or bound makes the page stale, and generate mends it."""
    copy.keep(REFERENCE)
    copy.edit(POOL, "// VXLAN network identifier,", "// The network's number,")
    assert_found(copy, "generated", REFERENCE, "run `script/check generate`")
    stubs = [str(path.relative_to(copy.root)) for path in (copy.root / "controlplane/tiara/v1").glob("*.py*")]
    for path in stubs:
        copy.keep(path)
    assert copy.check("generate").returncode == 0
    page = (copy.root / REFERENCE).read_text()
    assert "| `vni` | uint32 | 1 to 16777215 | The network's number, 1 to 16777215. 0 means 1. |" in page
