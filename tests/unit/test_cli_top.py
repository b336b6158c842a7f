# SPDX-License-Identifier: Apache-2.0
"""tiara top: what its frames say, what its keys do, and how it leaves a terminal."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiara
from cli_fake import CODE, World, serving
from click.testing import CliRunner
from tiara.cli.main import cli
from tiara.cli.top import command, keys, screen
from tiara.cli.top.look import Change, Look
from tiara.cli.top.state import State, press, settle
from tiara.v1 import backend_pool_pb2, connection_pb2, node_pb2

PACKAGES = str(Path(tiara.__file__).parents[1])
B1, B2 = (f"backendPools/web/backends/b{number}" for number in (1, 2))
WEB, FRONTEND = "virtualServices/web", "tcp 198.18.100.1:80"
DEADLINE_S = 60


def statistics(packets: int) -> node_pb2.Statistics:
    """One service and two backends that got so many packets."""
    made = node_pb2.Statistics(connection_capacity=1000, rx_packets=packets, rx_bytes=packets * 1000)
    made.verdicts.update(forwarded=packets // 4, forwarded_by_card=packets * 3 // 4, no_service=5)
    made.services.add(
        virtual_service=WEB, frontend=FRONTEND, packets=packets, connections_total=packets // 10
    )
    made.backends.add(backend=B1, packets=packets, tracked_connections=750, wanted_share=0.5)
    made.backends.add(backend=B2, tracked_connections=150, wanted_share=0.5)
    made.workers.add(worker=0, busy_share=0.25)
    return made


def look(at_s: float, packets: int, sample: int = 0) -> Look:
    """A look at that moment."""
    backends = {name: backend_pool_pb2.Backend(name=name) for name in (B1, B2)}
    one = connection_pb2.Connection(client_address="198.18.0.7", client_port=40000, backend=B1)
    node = node_pb2.Node(name="nodes/lb1", dataplane_live=True, workers_online=1, applied_revision=7)
    pools = {WEB: "backendPools/web"}
    return Look(at_s, node, statistics(packets), pools, backends, (one,) * sample)


def change(sample: int = 0) -> Change:
    """Two seconds with 100,000 packets a second."""
    return Change(look(10, 50_000), look(12, 250_000, sample))


ROWS = [f"{WEB} {FRONTEND}", B1, B2]


def test_rates_shares_table_tiers() -> None:
    """Rates are differences over the time between two looks; shares are within a pool."""
    lines = screen.frame(change(), State(), (80, 24)).plain.splitlines()
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "in 100k/s 800Mb/s" in text
    assert "90.0 % 900 of 1,000" in text
    assert "card 75.0 % card 75k/s cpu 25k/s" in text
    assert "0: 25.0 %" in text
    assert "web tcp 198.18.100.1:80 web 100k 0b 10k 0" in text
    assert "web/b1 - active 100k 0b 0 750 83.3 % 50.0 %" in text
    assert "no_service" not in text  # it did not rise


def test_counters_that_began_anew_have_no_rate() -> None:
    """Nor does a first look."""
    assert Change(look(10, 500), look(11, 20)).service((WEB, FRONTEND), "packets") == 0
    assert Change(look(10, 500), look(10, 500)).backend(B1, "packets") == 0


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 8), (20, 3)])
@pytest.mark.parametrize("state", [State(), State(selected=B2), State(detail=B1), State(help=True)])
def test_frames_fit(size: tuple[int, int], state: State) -> None:
    """As many lines as the terminal has, none wider."""
    lines = screen.frame(change(10), state, size).split("\n", allow_blank=True)
    assert len(lines) == size[1]
    assert max(line.cell_len for line in lines) <= size[0]


def test_the_selected_row_is_seen() -> None:
    """Wherever it is in a long list."""
    now = look(12, 100)
    for number in range(3, 100):
        now.statistics.backends.add(backend=f"backendPools/web/backends/b{number}")
    text = screen.frame(Change(now, now), State(selected="backendPools/web/backends/b57"), (80, 24)).plain
    assert "web/b57 " in text


def test_detail_shows_connections() -> None:
    """Of the service or the backend that was chosen."""
    assert "198.18.0.7:40000" in screen.frame(change(1), State(detail=B1), (80, 40)).plain
    assert "web/b2" not in screen.frame(change(1), State(detail=B1), (80, 40)).plain
    assert "web/b2" in screen.frame(change(1), State(detail=ROWS[0]), (80, 40)).plain


def test_keys_change_the_state() -> None:
    """Each documented key, and the ends of the list."""
    state = settle(State(), ROWS)
    assert state.selected == ROWS[0]
    assert press(state, "up", ROWS).selected == ROWS[0]
    assert press(press(state, "j", ROWS), "down", ROWS).selected == B2
    assert press(press(state, "j", ROWS), "k", ROWS).selected == ROWS[0]
    detail = press(state, "enter", ROWS)
    assert (detail.subject, press(detail, "esc", ROWS).subject) == (WEB, "")
    assert press(state, "s", ROWS).sort == 1
    assert press(press(state, "p", ROWS), "p", ROWS) == state
    assert press(press(state, "?", ROWS), "x", ROWS) == state
    assert press(state, "q", ROWS).done


def test_keys_are_read_from_bytes() -> None:
    """Several may come at once."""
    assert keys.decode(b"\x1b[Aj\x1bOB\r\x1b") == ["up", "j", "down", "enter", "esc"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fake server with traffic."""
    with serving(tmp_path / "api.sock") as world:
        fill(world)
        yield world


def fill(world: World) -> None:
    """A node with one service."""
    world.node.name = "nodes/lb1"
    world.statistics.CopyFrom(statistics(1000))


def test_once(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One frame without escape codes; the table is never scanned."""
    monkeypatch.setattr(command, "INTERVAL_S", 0.01)
    result = CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", "top", "--once"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("lb1  ")
    assert "web/b2" in result.stdout
    assert "\x1b" not in result.stdout
    asked = [r for r in world.requests if isinstance(r, node_pb2.GetStatisticsRequest)]
    assert [r.count_connections for r in asked] == [False, False]


def test_it_needs_a_terminal(world: World, tmp_path: Path) -> None:
    """And says what to do without one."""
    result = CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", "top"])
    assert (result.exit_code, "--once" in result.stderr) == (2, True)


class Terminal:
    """`tiara top` in a terminal of 80x24."""

    def __init__(self, socket: Path) -> None:
        self.master, self.slave = os.openpty()
        self.resize(80, 24)
        self.before = termios.tcgetattr(self.slave)
        program = "from tiara.cli.main import main; main()"
        environment = {**os.environ, "PYTHONPATH": PACKAGES, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "--server", f"unix:{socket}", "top"],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=environment,
        )

    def resize(self, columns: int, lines: int) -> None:
        """Another size from now on."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, fits: Callable[[str], bool]) -> None:
        """Reads until what was drawn since the call fits."""
        seen, end = "", time.monotonic() + DEADLINE_S
        while not fits(seen):
            assert time.monotonic() < end, seen[-4000:]
            if select.select([self.master], [], [], 0.2)[0]:
                seen += os.read(self.master, 65536).decode(errors="replace")

    def press(self, pressed: bytes) -> None:
        """Types."""
        os.write(self.master, pressed)

    def end(self) -> int:
        """Its exit code, once it has ended; what it draws until then is read."""
        self.until(lambda seen: self.process.poll() is not None)
        return self.process.returncode

    def close(self) -> None:
        """Whatever happened."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(world: World, tmp_path: Path) -> Iterator[Terminal]:
    """With its first frame drawn."""
    made = Terminal(tmp_path / "api.sock")
    try:
        made.until(lambda seen: "q quit" in seen and "web/b2" in seen)
        yield made
    finally:
        made.close()


def test_keys_on_a_terminal(terminal: Terminal, world: World) -> None:
    """Drill down, back, help, another size; q leaves the terminal as it was."""
    terminal.press(b"\x1b[B\r")
    terminal.until(lambda seen: "Esc back" in seen)
    assert any(getattr(r, "backend", "") == B1 for r in world.requests)
    terminal.press(b"\x1b")
    terminal.until(lambda seen: "Enter detail" in seen)
    terminal.press(b"?")
    terminal.until(lambda seen: "Ctrl-C" in seen)
    terminal.press(b"x")
    terminal.resize(120, 40)
    terminal.until(lambda seen: any(frame.count("\n") == 39 for frame in seen.split("\x1b[H")))
    terminal.press(b"q")
    assert terminal.end() == 0
    assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_the_terminal_as_it_was(terminal: Terminal, number: signal.Signals) -> None:
    """Ctrl-C, kill and a lost line."""
    terminal.process.send_signal(number)
    assert terminal.end() == 0
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_a_server_that_went_away_is_waited_for(terminal: Terminal, world: World) -> None:
    """What was seen last stays, marked as old, until it answers again."""
    world.fail["GetNode"] = (CODE.UNAVAILABLE, "restarts", [])
    terminal.until(lambda seen: "the above is older" in seen)
    del world.fail["GetNode"]
    terminal.until(lambda seen: "q quit" in seen)
    terminal.press(b"q")
    assert terminal.end() == 0
