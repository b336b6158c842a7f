# SPDX-License-Identifier: Apache-2.0
"""README's section on containers is docs/testbed.md in short: test_testbed.py runs that page."""

from __future__ import annotations

import re

from engine import ROOT
from scenario import examples


def test_the_readme_s_commands_are_the_page_s() -> None:
    """Each command of the section is one of the page's; `hold` runs on, there for 3 seconds."""
    commands = re.findall(
        r"^    (docker compose .*?)(?: +#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    page = [command.removesuffix(" --seconds 3") for command, _ in examples()]
    assert len(commands) > 5
    assert [command for command in commands if command not in page] == []
