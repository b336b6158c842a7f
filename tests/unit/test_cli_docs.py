# SPDX-License-Identifier: Apache-2.0
"""README.md and docs/api.md are true: their commands and programs run, and print what they say."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import tiara
from cli_fake import World, serving
from tiara.v1 import configuration_pb2

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
README = ROOT / "README.md"
PACKAGES = str(Path(tiara.__file__).parents[1])
FENCE = re.compile(r"^```([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Stands for jq where it is not installed; knows the page's one filter.
JQ = """
import json, sys
for found in json.load(sys.stdin)["backends"]:
    if found.get("status", {}).get("draining"):
        print(found["name"])
"""


@dataclass(frozen=True)
class Shell:
    """Runs what a reader would type, against a fake server."""

    folder: Path
    world: World

    def run(self, *command: str) -> str:
        """What it prints; it must succeed."""
        environment = {
            **os.environ,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "PYTHONPATH": PACKAGES,
            "TIARA_SERVER": f"unix:{self.folder}/api.sock",
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With `tiara` and `jq` first on its path."""
    folder = tmp_path_factory.mktemp("docs")
    programs = {"tiara": "from tiara.cli.main import main\nmain()", "jq": JQ}
    for name, program in programs.items():
        (folder / name).write_text(f"#!{sys.executable}\n{program}\n")
        (folder / name).chmod(0o755)
    with serving(folder / "api.sock") as world:
        yield Shell(folder, world)


def blocks(page: Path) -> list[tuple[str, str]]:
    """A page's examples in order: language and text."""
    return [(match[1], match[2]) for match in FENCE.finditer(page.read_text())]


def sessions(block: str) -> list[tuple[str, str]]:
    """Commands of a console block, with what the page shows under them."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        length = next(i for i, line in enumerate(lines) if not line.rstrip().endswith("|")) + 1
        found.append(("".join(lines[:length]), "".join(lines[length:])))
    return found


@pytest.mark.parametrize(
    ("page", "languages"),
    [
        (README, ["console", "python", "yaml", "shell-session"]),
        (PAGE, ["console", "python", "python", "console", "python", "console", "console"]),
    ],
)
def test_the_pages_have_examples(page: Path, languages: list[str]) -> None:
    """A page without them would pass the tests below."""
    assert [language for language, _ in blocks(page)] == languages


def run_examples(shell: Shell, page: Path) -> None:
    """Commands are typed, programs are run; each finds what those before it made."""
    for language, block in blocks(page):
        if language == "python":
            shell.run(sys.executable, "-c", block)
        if language != "console":  # test_cli_server.py has the others
            continue
        for command, expected in sessions(block):
            assert shell.run("bash", "-c", command) == expected, command


def test_the_readme_s_examples_run_and_print_what_they_say(shell: Shell) -> None:
    """A newcomer's first service, by command line and in Python."""
    run_examples(shell, README)
    assert [name.rsplit("/", 1)[1] for name in sorted(shell.world.backends)] == ["b1", "b2", "b3"]


def test_the_page_s_examples_run_and_print_what_they_say(shell: Shell) -> None:
    """All that docs/api.md shows."""
    synced = configuration_pb2.WatchResponse(synced=configuration_pb2.WatchSynced(), revision=7)
    shell.world.watches = [([synced], grpc.StatusCode.UNAVAILABLE)]
    run_examples(shell, PAGE)
    assert sorted(shell.world.services) == ["virtualServices/shop", "virtualServices/web"]
    assert len(shell.world.pushed) == 2 * (2 + 100) * 16  # and loaded from a dump


def test_the_page_lists_the_exit_codes_of_the_help(shell: Shell) -> None:
    """Both say the same codes."""
    text = shell.run("tiara", "--help")
    page = PAGE.read_text()
    for code, meaning in re.findall(r"^    (\d)  (.+)$", text, re.MULTILINE):
        assert f"| {code} | {meaning}" in page


def test_the_page_s_completion_is_installed(shell: Shell) -> None:
    """What the page has for ~/.bashrc registers `tiara`; zsh's script says what it completes."""
    line = 'eval "$(_TIARA_COMPLETE=bash_source tiara)"'
    assert line in PAGE.read_text()
    assert shell.run("bash", "-c", f"{line}; complete -p tiara").endswith(" tiara\n")
    assert shell.run("bash", "-c", "_TIARA_COMPLETE=zsh_source tiara").startswith("#compdef tiara\n")
