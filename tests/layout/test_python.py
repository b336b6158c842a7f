# SPDX-License-Identifier: Apache-2.0
"""tiara.domain.layout is the header's, in names that Python likes."""

import re
from pathlib import Path
from types import ModuleType

from tiara_layout.description import Layout, layout_id


def test_layout_id(made: ModuleType, layout: Layout) -> None:
    """The constant is the header's id."""
    assert layout_id(layout) == made.LAYOUT_ID


def test_sizes_and_members(made: ModuleType, layout: Layout) -> None:
    """Sizes and offsets are the compiler's."""
    assert dict(made.SIZES) == {s.name: s.size_bytes for s in layout.structs}
    for struct in layout.structs:
        expected = {m.name: (m.offset, m.element_bytes, m.count or 0, m.type) for m in struct.members}
        assert {name: tuple(member) for name, member in made.MEMBERS[struct.name].items()} == expected


def test_enums(made: ModuleType, root: Path) -> None:
    """Each enumerator written in layout.h is found by its short name."""
    text = (root / "dataplane/include/tiara/layout.h").read_text()
    verdicts = re.findall(r"TIARA_VERDICT_(\w+) = (\d+),", text)
    states = re.findall(r"TIARA_STATE_(\w+) = (\d+),", text)
    assert {(v.name, str(v.value)) for v in made.Verdict} == {v for v in verdicts if v[0] != "CNT"}
    assert {(s.name, str(s.value)) for s in made.State} == {s for s in states if s[0] != "CNT"}


def test_enums_fit_their_counters(made: ModuleType) -> None:
    """Every verdict, event and state has its place in the arrays that count them."""
    assert max(made.Verdict) < made.Limit.VERDICT_CNT
    assert max(made.Event) < made.Limit.EVENT_CNT
    assert max(made.State) < made.Limit.STATE_CNT


def test_equal_limits_keep_their_names(made: ModuleType) -> None:
    """Limits may be equal; none hides another."""
    assert made.Limit.NAME_BYTES == made.Limit.WORKER_MAX == 64
    assert "NAME_BYTES" in vars(made.Limit) and "WORKER_MAX" in vars(made.Limit)


def test_label_is_the_lower_case_name(made: ModuleType) -> None:
    """One name for a verdict from the header to the metric."""
    assert made.Verdict.NO_SERVICE.label == "no_service"
