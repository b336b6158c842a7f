# SPDX-License-Identifier: Apache-2.0
"""How `tiara` fails: messages of one or two lines and documented exit codes. And how it watches."""

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cli_fake import World, bad_field, remedy, serving
from click.testing import CliRunner, Result
from google.rpc import error_details_pb2
from rich.console import Console
from tiara.cli import options, output
from tiara.cli.main import cli
from tiara.v1 import node_pb2

CODE = grpc.StatusCode


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Where the server of a test is or would be."""
    return f"unix:{tmp_path}/api.sock"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fake server with nothing in it."""
    with serving(tmp_path / "api.sock") as world:
        yield world


def run(address: str, line: str, **environment: str) -> Result:
    """Runs a command line against this server."""
    return CliRunner().invoke(cli, ["--server", address, *line.split()], env=environment)


# The server refuses


@pytest.mark.parametrize(
    "code",
    [
        CODE.INVALID_ARGUMENT,
        CODE.NOT_FOUND,
        CODE.ALREADY_EXISTS,
        CODE.FAILED_PRECONDITION,
        CODE.ABORTED,
        CODE.RESOURCE_EXHAUSTED,
        CODE.UNIMPLEMENTED,
        CODE.INTERNAL,
    ],
)
def test_refusals_end_with_1(address: str, world: World, code: grpc.StatusCode) -> None:
    """Whatever the server refuses: its message on stderr, nothing on stdout, exit code 1."""
    world.fail["GetNode"] = (code, "it is not so", [])
    result = run(address, "node")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "tiara: it is not so\n")


def test_details_add_field_and_remedy(address: str, world: World) -> None:
    """What google.rpc details say beyond the message stands under it."""
    details = [
        bad_field("backend_pool.vxlan.vni", "16777216 is more than 16777215"),
        remedy("choose a smaller one"),
    ]
    world.fail["ListBackendPools"] = (CODE.INVALID_ARGUMENT, "the request is invalid", details)
    assert run(address, "pool list").stderr == (
        "tiara: the request is invalid\n"
        "  backend_pool.vxlan.vni: 16777216 is more than 16777215\n"
        "  choose a smaller one\n"
    )


def test_details_do_not_repeat_the_message(address: str, world: World) -> None:
    """A message that names field and reason already stays one line."""
    message = "backend.address: 'x' is not an IPv4 address"
    detail = bad_field("backend.address", "'x' is not an IPv4 address")
    world.fail["ListBackends"] = (CODE.INVALID_ARGUMENT, message, [detail])
    assert run(address, "backend list").stderr == f"tiara: {message}\n"


def test_other_details(address: str, world: World) -> None:
    """Preconditions and an ErrorInfo's remedy are shown too; unknown details are left out."""
    violation = error_details_pb2.PreconditionFailure.Violation(
        subject="virtualServices/web", description="uses the pool"
    )
    details = [
        error_details_pb2.PreconditionFailure(violations=[violation]),
        error_details_pb2.ErrorInfo(reason="IN_USE", metadata={"remedy": "delete the service first"}),
        node_pb2.Node(),
    ]
    world.fail["DeleteBackendPool"] = (CODE.FAILED_PRECONDITION, "backendPools/web is in use", details)
    assert run(address, "pool delete web").stderr == (
        "tiara: backendPools/web is in use\n"
        "  virtualServices/web: uses the pool\n"
        "  delete the service first\n"
    )


# Usage


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pool create web", "Missing option '--mode'"),
        ("pool create web --mode nat", "'nat' is not one of 'l2', 'vxlan', 'ipip'"),
        ("pool create web --mode l2 --vni 3", "are for --mode vxlan"),
        ("pool create web --mode l2 --rise 3", "need --check-tcp"),
        ("pool create web --mode l2 --check-http up", "'up' is not PORT or PORT/PATH"),
        ("pool create web --mode l2 --check-https 65536/", "'65536/' is not PORT or PORT/PATH"),
        ("pool create web --mode l2 --check-http 80 --check-status 2xx", "'2xx' is not statuses"),
        ("pool create web --mode l2 --check-tcp 80 --check-verify", "need --check-http(s)"),
        ("pool create web --mode l2 --check-tcp 80 --check-http 80", "give one of --check-tcp"),
        ("pool create web --mode l2 --check-tcp 80 --interval 5", "'5' is not a duration with its unit"),
        ("backend create b1 --address 198.18.0.11", "'b1' is not POOL/NAME, as web/b1"),
        ("backend create a/b/c --address 198.18.0.11", "'a/b/c' is not POOL/NAME"),
        ("backend create web/b1 --address 198.18.0.11 --weight 65536", "65536 is not in the range"),
        ("backend drain web/b1 --now --deadline 3s", "--deadline and --now exclude each other"),
        ("service create web --frontend sctp:198.18.100.1:80 --pool web", "is not PROTOCOL:ADDRESS:PORT"),
        ("service create web --frontend tcp:198.18.100.1:0 --pool web", "is not ADDRESS:PORT"),
        ("service create web --frontend tcp:198.18.100:80 --pool web", "Expected 4 octets"),
        ("connection get icmp 198.18.0.7:1 198.18.100.1:2", "'icmp' is not one of 'tcp', 'udp'"),
        ("nonsense", "No such command 'nonsense'"),
    ],
)
def test_a_wrong_command_line_ends_with_2(address: str, world: World, line: str, message: str) -> None:
    """It says what is wrong and sends nothing."""
    result = run(address, line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())
    assert world.requests == []


def test_an_address_that_is_none() -> None:
    """A typo in --server is the command line's fault, not the server's."""
    result = run("loclahost", "node")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        "Error: 'loclahost' is neither unix:/path nor host:port",
    )


# Nobody answers


def test_no_socket() -> None:
    """The message names the socket, why, and how to start a server; exit code 3."""
    result = CliRunner().invoke(cli, ["--instance", "no-such", "node"], env={"TIARA_SERVER": None})
    assert (result.exit_code, result.stdout, result.stderr) == (
        3,
        "",
        "tiara: no control plane at unix:/run/tiara/no-such/api.sock: there is no such socket\n"
        "  Start one: tiara-controlplane --instance no-such"
        "   Another address: --server, --instance, TIARA_SERVER\n",
    )


def test_a_stale_socket(address: str, tmp_path: Path) -> None:
    """A socket file that a dead server left is told from none."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "api.sock"))
    result = run(address, "node")
    assert result.exit_code == 3
    assert "nobody listens there" in result.stderr


def test_a_closed_tcp_port() -> None:
    """Addresses by host and port fail the same way."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = run(f"127.0.0.1:{taken.getsockname()[1]}", "node")
    assert result.exit_code == 3
    assert "nobody listens there" in result.stderr


def test_a_server_that_cannot_answer(address: str, world: World) -> None:
    """UNAVAILABLE from a server that runs is its own words, not advice to start one."""
    world.fail["GetStatistics"] = (CODE.UNAVAILABLE, "no data plane has made a segment yet", [])
    result = run(address, "stats")
    assert (result.exit_code, result.stderr) == (
        3,
        f"tiara: the control plane at {address} cannot answer now: no data plane has made a segment yet\n",
    )


def test_server_and_instance_by_environment(address: str, world: World) -> None:
    """TIARA_SERVER and TIARA_INSTANCE stand for the options; the server wins over the instance."""
    world.node.name = "nodes/lb1"
    found = CliRunner().invoke(cli, ["node"], env={"TIARA_SERVER": address, "TIARA_INSTANCE": "no-such"})
    assert found.stdout.startswith("Node")
    alone = {"TIARA_SERVER": None, "TIARA_INSTANCE": "no-such"}
    missing = CliRunner().invoke(cli, ["node"], env=alone)
    assert "/run/tiara/no-such/api.sock" in missing.stderr


# Stored, not applied


def test_not_applied_in_time(address: str, world: World) -> None:
    """The write is stored: the message says so and why packets do not see it; exit code 4."""
    world.fail["WaitApplied"] = (CODE.DEADLINE_EXCEEDED, "worker 1 still uses generation 3", [])
    result = run(address, "pool create web --mode l2")
    assert (result.exit_code, result.stdout, result.stderr) == (
        4,
        "",
        "tiara: pool web created and stored, but packets do not see it yet\n"
        "  worker 1 still uses generation 3\n",
    )
    assert "backendPools/web" in world.pools


def test_help_documents_the_exit_codes() -> None:
    """And how completion is switched on."""
    text = CliRunner().invoke(cli, ["--help"]).stdout
    for line in ("0  done", "1  refused", "2  usage", "3  the server cannot be", "4  stored, but"):
        assert f"\n    {line}" in text
    assert "_TIARA_COMPLETE=bash_source" in text


# Watching


class Stop:
    """A sleep that ends the watch, as Ctrl-C does, after some rounds."""

    def __init__(self, rounds: int, each: object = None) -> None:
        self.rounds = rounds
        self.each = each

    def __call__(self, seconds: float) -> None:
        assert seconds == options.WATCH_INTERVAL_S
        self.rounds -= 1
        if self.rounds == 0:
            raise KeyboardInterrupt
        if callable(self.each):
            self.each()


def test_watch_into_a_file(address: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on a terminal: again and again, an empty line between; Ctrl-C is a good end."""
    monkeypatch.setattr(options, "sleep", Stop(3))
    result = run(address, "service list --watch")
    assert (result.exit_code, result.stdout) == (0, "\n".join(["Prot  Address:Port  Service  Pool\n"] * 3))


def test_watch_as_json_lines(address: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of JSON each time; YAML documents begin with ---."""
    monkeypatch.setattr(options, "sleep", Stop(2))
    lines = run(address, "pool list --watch -o json").stdout
    assert lines == '{"backendPools": [], "nextPageToken": ""}\n' * 2
    monkeypatch.setattr(options, "sleep", Stop(2))
    documents = run(address, "pool list --watch -o yaml").stdout
    assert documents == "---\nbackendPools: []\nnextPageToken: ''\n" * 2


def test_watch_on_a_terminal_outlives_the_server(
    address: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was seen last stays on screen, marked as old, until the server answers again."""
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=60, height=20)
    monkeypatch.setattr(output, "console", lambda: terminal)
    away = Stop(3, lambda: world.fail.update(GetNode=(CODE.UNAVAILABLE, "going down", [])))
    monkeypatch.setattr(options, "sleep", away)
    world.node.name = "nodes/lb1"
    assert run(address, "node --watch").exit_code == 0
    *_, last_frame, reason = screen.getvalue().split("the above is older")
    assert "lb1" in last_frame
    assert "the control plane" in reason


def test_watch_needs_a_first_answer(address: str) -> None:
    """A server that was never there is an error, not something to wait for."""
    assert run(address, "stats --watch").exit_code == 3


def test_colours_only_on_a_terminal(address: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape codes never reach a file or a pipe."""
    assert "\x1b[" not in run(address, "node").stdout
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=60)
    monkeypatch.setattr(output, "console", lambda: terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    run(address, "node")
    assert "\x1b[" in screen.getvalue()
