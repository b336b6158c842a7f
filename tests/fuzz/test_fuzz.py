# SPDX-License-Identifier: Apache-2.0
"""libFuzzer on the packet path and on pushed connections, under ASan and UBSan.

TIARA_BUILD is the meson build folder with -Dfuzz=true; TIARA_FUZZ_SECONDS how long each target runs
(15 by default). What a run finds stays in that folder: new inputs in found-NAME, which the next run
starts from, failing ones as NAME-crash-..., the log in NAME.log.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import corpus
import pytest
from tiara.domain.layout import Verdict

ROOT = Path(__file__).parents[2]
BUILD = ROOT / os.environ.get("TIARA_BUILD", "build/fuzz")
SECONDS = int(os.environ.get("TIARA_FUZZ_SECONDS", "15"))
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


# No packet ends so without a card, and the target has none: tests/path/card_twin.c's own tests reach these.
NEEDS_A_CARD = {Verdict.FORWARDED_BY_CARD, Verdict.CARD_REMOVING}


def program(name: str) -> Path:
    """A fuzz target that was built."""
    path = BUILD / f"tests/fuzz/fuzz_{name}"
    assert path.exists(), f"{path} is not built: `script/test fuzz` builds and runs it"
    return path


def run(name: str, *arguments: str | Path, log: Path, **env: str) -> str:
    """What a target says; it passed."""
    with log.open("w") as file:
        done = subprocess.run(
            [program(name), *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **SANITIZERS, **env},
            check=False,
        )
    text = log.read_text(errors="replace")
    assert done.returncode == 0, f"{text[-3000:]}\nall of it: {log}\nonce more: {program(name)} INPUT"
    return text


@pytest.mark.parametrize("name", ["path", "push"])
def test_no_input_breaks_it(name: str, tmp_path: Path) -> None:
    """Whatever bytes come: no bad access, no undefined behaviour, and the target's own checks hold."""
    found = BUILD / f"found-{name}"
    found.mkdir(exist_ok=True)
    corpus.unpack(name, tmp_path)
    text = run(
        name,
        f"-max_total_time={SECONDS}",
        "-timeout=20",
        "-rss_limit_mb=1024",
        "-max_len=4096",
        "-print_final_stats=1",
        f"-artifact_prefix={BUILD}/{name}-",
        found,
        tmp_path,
        log=BUILD / f"{name}.log",
    )
    units = re.search(r"number_of_executed_units: (\d+)", text)
    assert units and int(units[1]) > len(corpus.lines(name)), text[-3000:]


def test_the_corpus_reaches_every_verdict(tmp_path: Path) -> None:
    """The fuzzer starts from inputs that lead to each end that a packet can have."""
    seen = BUILD / "seen"
    corpus.unpack("path", tmp_path)
    run("path", "-runs=0", tmp_path, log=BUILD / "replay.log", TIARA_FUZZ_SEEN=str(seen))
    verdicts = {Verdict(int(line)) for line in seen.read_text().split()}
    assert set(Verdict) - verdicts == {Verdict.NONE} | NEEDS_A_CARD
