# SPDX-License-Identifier: Apache-2.0
"""script/check can fail: each fault is planted in a copy of the tree and must be named."""

from __future__ import annotations

import subprocess

import pytest
from tree_copy import Copy

C_HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"
PY_HEAD = '# SPDX-License-Identifier: Apache-2.0\n"""Planted."""\n\n'
PARTS = ("Purpose", "Parameters", "Ports", "Latency", "Ordering and stalls", "Reset", "Undefined")
HOT = ("dataplane/path/planted.c", "dataplane/table/planted.c")


def lines_about(done: subprocess.CompletedProcess[str], path: str) -> list[str]:
    """What the check says of one file."""
    return [line.strip() for line in done.stdout.splitlines() if line.strip().startswith(path)]


def assert_found(copy: Copy, part: str, path: str, said: str) -> None:
    """The part fails with a line that begins with the path and says why."""
    done = copy.check(part)
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(said in line for line in lines_about(done, path)), done.stdout


# ---- arrows


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("dataplane/path/planted.c", '"control/handle.h"'),
        ("dataplane/path/planted.c", '"app/planted.h"'),
        ("dataplane/path/planted.c", "<stdio.h>"),
        ("dataplane/path/planted.c", "<stdlib.h>"),
        ("dataplane/path/planted.c", "<malloc.h>"),
        ("dataplane/path/planted.c", "<rte_mbuf.h>"),
        ("dataplane/table/planted.c", "<rte_hash.h>"),
        ("dataplane/table/planted.c", '"port/port.h"'),
        ("dataplane/control/planted.c", "<rte_eal.h>"),
        ("dataplane/app/planted.c", '"../../tests/planted.h"'),
    ],
)
def test_c_arrow(copy: Copy, path: str, include: str) -> None:
    """An include that must never exist is named with its line."""
    copy.plant("dataplane/app/planted.h", C_HEAD)
    copy.plant("tests/planted.h", C_HEAD)
    copy.plant(path, f"{C_HEAD}#include {include}\n")
    assert_found(copy, "arrows", f"{path}:2", "never-arrow: includes")


def test_c_arrow_by_a_detour(copy: Copy) -> None:
    """An innocent header that leads to stdio is named with the way."""
    copy.plant("dataplane/port/planted.h", f"{C_HEAD}#include <stdio.h>\n")
    copy.plant("dataplane/path/planted.c", f'{C_HEAD}#include "port/planted.h"\n')
    assert_found(copy, "arrows", "dataplane/path/planted.c:2", "dataplane/port/planted.h -> stdio.h")


def test_driver_call_outside_port(copy: Copy) -> None:
    """rte_eth_* is called in port/ only; a comment may speak of it."""
    copy.plant(
        "dataplane/app/planted.c",
        f"{C_HEAD}/* rte_eth_rx */\nint x(void) {{ return rte_eth_dev_count_avail(); }}\n",
    )
    done = copy.check("arrows")
    assert [line.split(": ")[0] for line in lines_about(done, "dataplane/app/planted.c")] == [
        "dataplane/app/planted.c:3"
    ]


@pytest.mark.parametrize("package", ["planner", "domain"])
@pytest.mark.parametrize("module", ["grpc", "cffi", "asyncio", "time", "random"])
def test_pure_packages(copy: Copy, package: str, module: str) -> None:
    """planner and domain are pure: same input, same bytes out."""
    path = f"controlplane/tiara/{package}/planted.py"
    copy.plant(path, f"{PY_HEAD}import {module}\n")
    assert_found(copy, "arrows", f"{path}:4", f"never-arrow: imports {module}")


@pytest.mark.parametrize(
    ("path", "statement"),
    [
        ("controlplane/tiara/api/planted.py", "import tiara.native"),
        ("controlplane/tiara/api/planted.py", "from tiara import native"),
        ("controlplane/tiara/api/planted.py", "from ..native import Segment"),
        ("controlplane/tiara/api/planted.py", "from tiara.store import sqlite"),
        ("controlplane/tiara/api/planted.py", 'm = __import__("tiara.native")'),
        ("controlplane/tiara/cli/planted.py", "import tiara.native"),
        ("controlplane/tiara/store/planted.py", "from cffi import FFI"),
        ("controlplane/tiara/health/planted.py", "import ctypes"),
        ("controlplane/tiara/cli/planted.py", "from scapy.all import IP"),
        ("bench/planted.py", "import scapy"),
        ("controlplane/tiara/planted.py", "import tests.unit"),
    ],
)
def test_python_arrow(copy: Copy, path: str, statement: str) -> None:
    """However it is written, an import that must never exist is named with its line."""
    copy.plant(path, f"{PY_HEAD}{statement}\n")
    assert_found(copy, "arrows", f"{path}:4", "never-arrow: imports")


def test_python_arrow_by_a_detour(copy: Copy) -> None:
    """A module of ours that leads to the clock is named with the way."""
    copy.plant("controlplane/tiara/planted.py", f"{PY_HEAD}def now():\n    import time\n")
    copy.plant("controlplane/tiara/planner/planted.py", f"{PY_HEAD}from tiara import planted\n")
    assert_found(copy, "arrows", "controlplane/tiara/planner/planted.py:4", "tiara.planted -> time")


@pytest.mark.parametrize("path", ["controlplane/tiara/traffic/planted.py", "tests/unit/planted.py"])
def test_allowed_arrow(copy: Copy, path: str) -> None:
    """traffic and tests may import scapy."""
    copy.plant(path, f"{PY_HEAD}import scapy\n")
    assert lines_about(copy.check("arrows"), path) == []


# ---- tokens


@pytest.mark.parametrize("path", HOT)
@pytest.mark.parametrize(
    "code",
    [
        "malloc(1);",
        "calloc(1, 1);",
        "free(0);",
        "rte_malloc(0, 1, 0);",
        'printf("x");',
        "volatile int x;",
        "pthread_mutex_lock(0);",
        "usleep(1);",
        "ioctl(1, 2);",
        "abort();",
    ],
)
def test_hot_path_token(copy: Copy, path: str, code: str) -> None:
    """Nothing on the hot path allocates, locks, prints, ends or makes a system call."""
    copy.plant(path, f"{C_HEAD}void f(void)\n{{\n\t{code}\n}}\n")
    assert_found(copy, "tokens", f"{path}:4", "forbidden in the hot path")


def test_hot_path_may_speak_of_it(copy: Copy) -> None:
    """Comments, strings, members of that name and inline assembly are not calls."""
    text = '/* malloc() */\nconst char *s = "free(x)"; // printf()\nint f(void) { return port->read(1); }\n'
    copy.plant(HOT[0], f'{C_HEAD}{text}void g(void) {{ __asm__ volatile("" ::: "memory"); }}\n')
    assert lines_about(copy.check("tokens"), HOT[0]) == []


@pytest.mark.parametrize(
    "text",
    [
        "TO" + "DO: later",
        "FIX" + "ME",
        "XX" + "X",
        "see /wo" + "rk/x/y",
        "/ho" + "me/me/x",
        "https://py" + "pi.org/x",
    ],
)
def test_token_anywhere(copy: Copy, text: str) -> None:
    """Notes to self, one machine's paths and registries' host names are refused in any file."""
    copy.plant("docs/planted.md", f"one\n{text}\n")
    assert_found(copy, "tokens", "docs/planted.md:2", "forbidden")


def test_abi_mode(copy: Copy) -> None:
    """cffi's ABI mode is banned."""
    copy.plant("controlplane/tiara/native/planted.py", f'{PY_HEAD}lib = ffi.dlopen("x")\n')
    assert_found(copy, "tokens", "controlplane/tiara/native/planted.py:4", "ABI mode")


# ---- generated files


@pytest.mark.parametrize(
    "path",
    [
        "controlplane/tiara/native/libtiara.cdef",
        "controlplane/tiara/domain/layout.py",
        "dataplane/layout/layout_id.h",
        "docs/layout.md",
        "fpga/rtl/tiara_layout_pkg.sv",
        "controlplane/tiara/v1/node_pb2.py",
        "controlplane/tiara/v1/node_pb2_grpc.pyi",
    ],
)
def test_edited_generated_file(copy: Copy, path: str) -> None:
    """A generated file that was edited is named with the command that mends it."""
    copy.plant(path, (copy.root / path).read_text() + "\n")
    assert_found(copy, "generated", path, "run `script/check generate`")


@pytest.mark.parametrize(
    "path",
    ["fpga/rtl/tiara_regs_pkg.sv", "dataplane/include/tiara/card_regs.h", "fpga/doc/registers.md"],
)
def test_edited_register_file(copy: Copy, path: str) -> None:
    """What registers.toml makes is what is there, in RTL, in C and for people."""
    copy.plant(path, (copy.root / path).read_text() + "\n")
    assert_found(copy, "generated", path, "run `script/check generate`")


def test_registers_that_overlap(copy: Copy) -> None:
    """Two registers in one place are named."""
    copy.edit("fpga/rtl/registers.toml", "offset = 0x024", "offset = 0x020")
    assert_found(copy, "generated", "fpga/rtl/registers.toml", "STATUS: at 0x20, which is no free word")


def test_stub_without_its_proto(copy: Copy) -> None:
    """A stub left over from a removed proto is named."""
    path = "controlplane/tiara/v1/planted_pb2.py"
    copy.plant(path, "")
    assert_found(copy, "generated", path, "run `script/check generate`")


def test_changed_header_makes_files_stale(copy: Copy) -> None:
    """A new verdict in layout.h: every file made from it is stale."""
    copy.edit("dataplane/include/tiara/layout.h", "TIARA_VERDICT_VLAN = 33,", "TIARA_VERDICT_TAGGED = 33,")
    done = copy.check("generated")
    assert done.returncode == 1
    assert done.stdout.count("run `script/check generate`") == 5


def test_rule_broken_in_the_header(copy: Copy) -> None:
    """A pointer in layout.h is named with struct and member."""
    copy.edit("dataplane/include/tiara/layout.h", "\tuint64_t bursts;", "\tuint64_t *bursts;")
    assert_found(copy, "generated", "dataplane/include/tiara/layout.h", "member 'bursts' is a pointer")


def test_generate_mends(copy: Copy) -> None:
    """`script/check generate` writes what the check asked for."""
    for path in ("docs/layout.md", "controlplane/tiara/v1/node_pb2.py"):
        copy.plant(path, (copy.root / path).read_text() + "\n")
    assert copy.check("generate").returncode == 0
    assert copy.check("generated").returncode == 0


# ---- the rest


def test_type_error(copy: Copy) -> None:
    """mypy, strict, over the control plane."""
    path = "controlplane/tiara/domain/planted.py"
    copy.plant(path, f'{PY_HEAD}WORD: int = "four"\n')
    assert_found(copy, "types", f"{path}:4", "Incompatible types in assignment")


def test_missing_annotation(copy: Copy) -> None:
    """Strict: a function without types is refused."""
    path = "controlplane/tiara/domain/planted.py"
    copy.plant(path, f"{PY_HEAD}def f(x):\n    return x\n")
    assert_found(copy, "types", f"{path}:4", "missing a type annotation")


@pytest.mark.parametrize("path", ["dataplane/app/planted.c", "script/planted", "fpga/rtl/planted.sv"])
def test_missing_licence_line(copy: Copy, path: str) -> None:
    """Source files and scripts begin with the licence line."""
    copy.plant(path, "#!/bin/sh\necho\n")
    assert_found(copy, "spdx", path, "SPDX-License-Identifier")


def test_format_of_c(copy: Copy) -> None:
    """clang-format has the last word on C."""
    path = "dataplane/app/planted.c"
    copy.plant(path, f"{C_HEAD}int f( void ){{return 1;}}\n")
    assert_found(copy, "format", path, "script/check mend")


def test_format_of_python(copy: Copy) -> None:
    """ruff format has the last word on Python."""
    path = "controlplane/tiara/domain/planted.py"
    copy.plant(path, f"{PY_HEAD}x = {{'a':1}}\n")
    assert_found(copy, "format", path, "script/check mend")


def test_lint_of_a_module(copy: Copy) -> None:
    """Verilator's lint, each module as a top: a signal that nothing reads."""
    path = "fpga/rtl/planted.sv"
    module = "module planted (\n  input logic clk_i\n);\n  logic lost;\n  assign lost = clk_i;\nendmodule\n"
    copy.plant(path, f"// SPDX-License-Identifier: Apache-2.0\n{module}")
    assert_found(copy, "rtl", f"{path}:5", "Signal is not used: 'lost' (UNUSEDSIGNAL)")


def test_lint_silenced_without_a_reason(copy: Copy) -> None:
    """A lint_off stands behind a comment that says why."""
    path = "fpga/rtl/planted.sv"
    module = (
        "module planted (\n  input logic clk_i\n);\n  /* verilator lint_off UNUSEDSIGNAL */\n  logic lost;\n"
    )
    end = "  /* verilator lint_on UNUSEDSIGNAL */\n  assign lost = clk_i;\nendmodule\n"
    copy.plant(path, f"// SPDX-License-Identifier: Apache-2.0\n{module}{end}")
    assert_found(copy, "rtl", f"{path}:5", "lint is silenced without a reason")


@pytest.mark.parametrize("part", PARTS)
def test_page_of_a_module_that_lacks_a_part(copy: Copy, part: str) -> None:
    """Each of the seven parts is missed, and so is one without a word."""
    path = "fpga/doc/tiara_skid.md"
    copy.edit(path, f"**{part}.**", "**Else.**")
    assert_found(copy, "pages", path, f"says nothing of {part}")


def test_module_and_page_go_together(copy: Copy) -> None:
    """A module without a page, a page without a module, a parameter that its page leaves out."""
    copy.plant("fpga/rtl/planted.sv", "// SPDX-License-Identifier: Apache-2.0\nmodule planted;\nendmodule\n")
    copy.plant("fpga/doc/gone.md", "# gone\n")
    copy.edit("fpga/doc/tiara_totals.md", "`IndexBits`", "the index's width")
    assert_found(copy, "pages", "fpga/rtl/planted.sv", "no page fpga/doc/planted.md")
    assert_found(copy, "pages", "fpga/doc/gone.md", "no module gone")
    assert_found(copy, "pages", "fpga/doc/tiara_totals.md", "does not name parameter IndexBits")


def test_lint(copy: Copy) -> None:
    """ruff's rules."""
    path = "controlplane/tiara/domain/planted.py"
    copy.plant(path, f"{PY_HEAD}import os\n")
    assert_found(copy, "lint", f"{path}:4", "F401")


def test_meson_file_that_does_not_parse(copy: Copy) -> None:
    """A bracket left open in a meson file is found before anyone configures."""
    copy.plant("tests/planted/meson.build", "# SPDX-License-Identifier: Apache-2.0\nexecutable('x', [\n")
    assert_found(copy, "meson", "tests/planted/meson.build", "meson cannot read it")


PLAN = 'promise = "p"\nissue = 2\ntests = ["{}"]\n'
PLANTED_TEST = PY_HEAD + "def test_a():\n    pass\n\nclass TestB:\n    def test_c(self):\n        pass\n"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (PLAN.format("tests/unit/nowhere.py::test_a"), "no such file"),
        (PLAN.format("tests/unit/test_planted.py::test_b"), "no such function"),
        (PLAN.format("meson:no-such-test"), "no meson.build has such a test"),
        ('promise = "p"\nissue = 2\ntests = []\n', "names no test"),
        ('promise = "p"\ntests = ["tests/unit/test_planted.py::test_a"]\n', "no issue number"),
        ("issue = 2\n", "without promise"),
    ],
)
def test_dangling_plan(copy: Copy, entry: str, said: str) -> None:
    """Each promise names tests that exist."""
    copy.plant("tests/unit/test_planted.py", PLANTED_TEST)
    copy.plant("tests/plan.toml", f"# SPDX-License-Identifier: Apache-2.0\n[[promises]]\n{entry}")
    assert_found(copy, "plan", "tests/plan.toml", said)


def test_plan_that_holds(copy: Copy) -> None:
    """Functions, methods, parametrised names and meson tests are found."""
    copy.plant("tests/unit/test_planted.py", PLANTED_TEST)
    copy.plant("tests/planted/meson.build", "# SPDX-License-Identifier: Apache-2.0\ntest('planted-c', x)\n")
    names = ("unit/test_planted.py::test_a[x]", "unit/test_planted.py::TestB::test_c")
    tests = ", ".join(f'"tests/{name}"' for name in names)
    entry = f'[[promises]]\npromise = "p"\nissue = 2\ntests = [{tests}, "meson:planted-c"]\n'
    copy.plant("tests/plan.toml", f"# SPDX-License-Identifier: Apache-2.0\n{entry}")
    done = copy.check("plan")
    assert done.returncode == 0, done.stdout


# ---- links


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("[a](no-such.md)", "no-such.md: no such file"),
        ("[a](../design.md)", "../design.md: no such file"),
        ("[a](api.md#no-such-heading)", "api.md#no-such-heading: no such heading"),
        ("[a](#nowhere)", "#nowhere: no such heading"),
    ],
)
def test_dangling_link(copy: Copy, link: str, said: str) -> None:
    """A link to a file or a heading that is not there is named with its line."""
    copy.plant("docs/planted.md", f"# Here\n\n{link}\n")
    assert_found(copy, "links", "docs/planted.md:3", said)


def test_links_that_hold(copy: Copy) -> None:
    """Files, folders, headings and other sites are found; what stands in code is no link."""
    copy.plant(
        "docs/planted.md",
        "# Here, and `there`\n[a](api.md) [b](../fpga/doc) [c](#here-and-there) [d](https://x.invalid/y)\n"
        "`[e](no-such.md)`\n```\n[f](no-such.md)\n```\n[g](../README.md#plan-before-apply)\n",
    )
    done = copy.check("links")
    assert done.returncode == 0, done.stdout


# ---- groups, mutants


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("tests/planted/test_planted.py", PLANTED_TEST, "no group of script/test runs tests/planted"),
        ("tests/unit/planted.c", C_HEAD, "tests/unit/meson.build does not build it"),
        (
            "tests/planted/meson.build",
            "# SPDX-License-Identifier: Apache-2.0\ntest('p', p, suite: 'planted')\n",
            "no group of script/test runs suite planted",
        ),
    ],
)
def test_unreachable_test(copy: Copy, path: str, text: str, said: str) -> None:
    """A test that no group of script/test would run is named."""
    copy.plant(path, text)
    assert_found(copy, "groups", path, said)


MUTANTS = "tests/mutants/mutants.toml"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('old = "return Use.GONE"', 'old = "return Use.LOST"', "old stands 0 times"),
        ('old = "return Use.GONE"', 'old = "return Use."', "old stands 3 times"),
        ("::test_meanings", "::test_no_such", "no such function in that file"),
        ('"tsan:race-epoch"', '"tsan:race-nothing"', "no meson.build has such a test"),
        ('name = "drained-still-used"', 'name = "fragments-pass"', "two faults are named fragments-pass"),
        ('name = "drained-still-used"\n', "", "a fault says"),
    ],
)
def test_fault_without_place_or_test(copy: Copy, old: str, new: str, said: str) -> None:
    """A fault whose line or whose test has gone is named."""
    copy.edit(MUTANTS, old, new)
    assert_found(copy, "mutants", MUTANTS, said)


def test_unknown_part(copy: Copy) -> None:
    """A misspelt part is refused with the list of parts, not passed over."""
    done = copy.check("arows")
    assert done.returncode == 2
    assert "arrows" in done.stdout
