# SPDX-License-Identifier: Apache-2.0
"""`tiara history`, `rollback`, `events`, `watch`: against a fake server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest
from cli_fake import CODE, CREATED_S, World, serving
from click.testing import CliRunner, Result
from tiara.cli import event, watch
from tiara.cli.main import cli
from tiara.v1 import backend_pool_pb2 as pool_pb
from tiara.v1 import configuration_pb2 as pb
from tiara.v1 import virtual_service_pb2 as service_pb

Tiara = Callable[..., Result]
B1 = "backendPools/web/backends/b1"


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours east of Greenwich: times are local."""
    import time

    monkeypatch.setenv("TZ", "XYZ-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fake server with nothing in it."""
    with serving(tmp_path / "api.sock") as world:
        yield world


@pytest.fixture
def tiara(tmp_path: Path, world: World) -> Tiara:
    """Runs a command line against the fake."""

    def run(line: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", *line.split()], stdin)

    return run


def golden(text: str) -> str:
    """The expected output, written with the indentation of the test."""
    return dedent(text).lstrip("\n")


# history and rollback


@pytest.fixture
def past(world: World) -> list[pb.Revision]:
    """Three writes, the newest first."""
    many = [pb.ResourceChange(action=pb.CHANGE_ACTION_ADD, name=f"virtualServices/s{i}") for i in range(5)]
    weight = pb.FieldChange(path="weight", before="1", after="3")
    changed = pb.ResourceChange(action=pb.CHANGE_ACTION_CHANGE, name=B1, fields=[weight])
    applied, updated = "ConfigurationService/ApplyConfiguration", "BackendPoolService/UpdateBackend"
    world.revisions = [
        pb.Revision(revision=3, who="ci", peer="ipv4:198.18.0.9:5012", method=applied, changes=many),
        pb.Revision(revision=2, who="root", peer="unix:", method=updated, changes=[changed]),
        pb.Revision(revision=1),
    ]
    world.revisions[0].request_id = "r-3"
    for found in world.revisions:
        found.time.FromSeconds(CREATED_S + found.revision)
    return world.revisions


def test_history_is_who_wrote_what(tiara: Tiara, past: list[pb.Revision]) -> None:
    """The newest first, in local time."""
    named = "+ service s0, + service s1, + service s2, and 2 more"
    lines = tiara("history").stdout.splitlines()
    assert [line.split(maxsplit=6) for line in lines[1:]] == [
        ["3", "2026-01-02", "05:04:08", "ci", "ipv4:198.18.0.9:5012", "ApplyConfiguration", named],
        ["2", "2026-01-02", "05:04:07", "root", "unix:", "UpdateBackend", "~ backend web/b1"],
        ["1", "2026-01-02", "05:04:06", "-", "-", "-"],
    ]
    assert lines[0].split() == ["Revision", "Time", "Who", "From", "Method", "Changed"]
    assert "r-3" in tiara("history -o wide").stdout


def test_history_of_one_revision(tiara: Tiara, past: list[pb.Revision]) -> None:
    """With its differences."""
    assert tiara("history 2").stdout == golden("""
        Revision  2
        Time      2026-01-02 05:04:07
        Who       root
        From      unix:
        Method    BackendPoolService/UpdateBackend

           Resource        Field   Value
        ~  backend web/b1  weight  1 -> 3
        """)
    assert json.loads(tiara("history 2 -o json").stdout)["changes"][0]["fields"][0]["after"] == "3"
    assert tiara("history 9").exit_code == 1


def test_history_of_a_resource_and_of_the_newest(tiara: Tiara, world: World, past: list[pb.Revision]) -> None:
    """The server filters; pages are turned until there are enough."""
    shown = tiara("history --resource web/b1 --limit 2").stdout
    assert [line.split()[0] for line in shown.splitlines()] == ["Revision", "3", "2"]
    assert [request.resource for request in world.requests] == [B1]
    assert len(tiara("history --limit 0").stdout.splitlines()) == 4


@pytest.mark.parametrize("name", ["web", "a/b/c", "web/", "/b1", "services/web/x"])
def test_names_of_resources(tiara: Tiara, world: World, name: str) -> None:
    """A name that could be two things is refused with what is meant."""
    result = tiara(f"history --resource {name}")
    assert (result.exit_code, world.requests) == (2, [])
    assert "is no resource's name, as backendPools/web, virtualServices/web, or web/b1" in result.stderr


def test_rollback_is_planned_and_applied(tiara: Tiara, world: World) -> None:
    """The same way as a file: shown, agreed to, bound to the plan's revision."""
    world.plan = pb.Plan(
        revision=9,
        changes=[pb.ResourceChange(action=pb.CHANGE_ACTION_REMOVE, name="virtualServices/web")],
        removal_reasons=["virtualServices/web is removed"],
        counted=True,
    )
    assert "needs --allow-removal" in tiara("rollback 5 --yes").stderr
    assert "give --yes" in tiara("rollback 5 --allow-removal").stderr
    world.requests.clear()
    result = tiara("rollback 5 --yes --allow-removal")
    assert result.stdout.endswith(
        "rolled back to revision 5: 1 removed (revision 1, applied as generation 1)\n"
    )
    plan, applied, _ = world.requests
    assert plan == pb.PlanConfigurationRequest(rollback_revision=5)
    assert applied.rollback_revision == 5
    assert (applied.plan_revision, applied.allow_removal) == (9, True)


# events


def happening(number: int, kind: "pb.EventKind.ValueType", resource: str, message: str) -> pb.Event:
    """An event."""
    made = pb.Event(number=number, kind=kind, resource=resource, message=message)
    made.time.FromSeconds(CREATED_S + number)
    return made


@pytest.fixture
def happened(world: World) -> list[pb.Event]:
    """Three events, the newest first."""
    world.events = [
        happening(3, pb.EVENT_KIND_DATAPLANE, "nodes/lb1", "the data plane started"),
        happening(2, pb.EVENT_KIND_BACKEND_DOWN, B1, "connect: refused"),
        happening(1, pb.EVENT_KIND_TABLE_FILL, "", "81 % of the table"),
    ]
    return world.events


def test_events_the_newest_last(tiara: Tiara, happened: list[pb.Event]) -> None:
    """As logs are read."""
    assert tiara("events").stdout == golden("""
        Time                 Kind          Resource        Message
        2026-01-02 05:04:06  table-fill    -               81 % of the table
        2026-01-02 05:04:07  backend-down  backend web/b1  connect: refused
        2026-01-02 05:04:08  dataplane     node lb1        the data plane started
        """)
    shown = tiara("events --limit 1").stdout
    assert "started" in shown
    assert "refused" not in shown
    assert [e["number"] for e in json.loads(tiara("events -o json").stdout)["events"]] == ["1", "2", "3"]


def test_events_of_a_kind_and_a_resource(tiara: Tiara, world: World) -> None:
    """The server filters."""
    tiara("events --kind backend-down --resource web/b1")
    (request,) = world.requests
    assert (request.kind, request.resource) == (pb.EVENT_KIND_BACKEND_DOWN, B1)


def rounds(monkeypatch: pytest.MonkeyPatch, module: Any, *steps: Callable[[], None]) -> None:
    """What happens while the command sleeps; then Ctrl-C."""
    todo = list(steps)

    def sleep(seconds: float) -> None:
        if not todo:
            raise KeyboardInterrupt
        todo.pop(0)()

    monkeypatch.setattr(module, "sleep", sleep)


def test_events_are_followed(
    tiara: Tiara, world: World, happened: list[pb.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is printed once, also those that came more than a page at once or while nobody answered."""

    def more(*numbers: int) -> Callable[[], None]:
        def happen() -> None:
            world.fail.clear()
            for number in numbers:
                world.events.insert(0, happening(number, pb.EVENT_KIND_BACKEND_UP, B1, f"up {number}"))

        return happen

    def away() -> None:
        world.fail["ListEvents"] = (CODE.UNAVAILABLE, "restarting", [])

    rounds(monkeypatch, event, more(4), away, more(5, 6, 7, 8, 9), more())
    result = tiara("events --follow --limit 2")
    assert result.exit_code == 0, result.stderr
    assert [line.split("  ")[-1] for line in result.stdout.splitlines()] == [
        *("connect: refused", "the data plane started"),
        *(f"up {number}" for number in range(4, 10)),
    ]
    rounds(monkeypatch, event)
    lines = tiara("events --follow -o json").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == [str(number) for number in range(1, 10)]


def test_following_ends_with_a_refusal(
    tiara: Tiara, world: World, happened: list[pb.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a server that is away is waited for."""
    rounds(
        monkeypatch, event, lambda: world.fail.update(ListEvents=(CODE.PERMISSION_DENIED, "no longer", []))
    )
    assert tiara("events --follow").stderr == "tiara: no longer\n"


# watch


def put(revision: int, resource: Any) -> pb.WatchResponse:
    """A resource as it is at a revision."""
    field = {
        "BackendPool": "backend_pool",
        "Backend": "backend",
        "VirtualService": "virtual_service",
    }[type(resource).__name__]
    return pb.WatchResponse(put=pb.WatchedResource(**{field: resource}), revision=revision)


def synced(revision: int) -> pb.WatchResponse:
    """All up to here."""
    return pb.WatchResponse(synced=pb.WatchSynced(), revision=revision)


POOL = pool_pb.BackendPool(name="backendPools/web", forwarding_mode=pool_pb.FORWARDING_MODE_IPIP)
BACKEND = pool_pb.Backend(
    name=B1,
    address="198.18.0.11",
    status=pool_pb.BackendStatus(health=pool_pb.HEALTH_STATE_DOWN, reason="connect: refused"),
)
SERVICE = service_pb.VirtualService(
    name="virtualServices/web",
    backend_pool="backendPools/web",
    frontends=[service_pb.Frontend(address="198.18.100.1", protocol=service_pb.PROTOCOL_TCP, port=80)],
)


def test_watch_prints_a_line_a_step(tiara: Tiara, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats are not shown."""
    rounds(monkeypatch, watch)
    beat = pb.WatchResponse(heartbeat=pb.WatchHeartbeat(), revision=3)
    gone = pb.WatchResponse(removed="virtualServices/web", revision=4)
    steps = [put(3, POOL), put(3, BACKEND), put(3, SERVICE), synced(3), beat, gone, synced(4)]
    world.watches = [(steps, CODE.UNAVAILABLE)] * 2
    result = tiara("watch")
    assert result.stdout == golden("""
        3 + pool web ipip maglev
        3 + backend web/b1 198.18.0.11 weight 1 down active connect: refused
        3 + service web tcp 198.18.100.1:80 by web
        3 = complete up to here
        4 - service web
        4 = complete up to here
        """)
    lines = tiara("watch -o json").stdout.splitlines()
    assert [json.loads(line)["revision"] for line in lines] == ["3", "3", "3", "3", "4", "4"]


def test_watch_goes_on_after_the_last_complete_revision(
    tiara: Tiara, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revision of which only a part came is asked for again; too slow and gone away are alike."""
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    rounds(monkeypatch, watch, nothing, nothing)
    world.watches = [
        ([put(3, POOL), synced(3), put(4, BACKEND)], CODE.UNAVAILABLE),
        ([put(4, BACKEND), put(4, SERVICE), synced(4)], CODE.RESOURCE_EXHAUSTED),
        ([synced(4)], CODE.UNAVAILABLE),
    ]
    result = tiara("watch --after 2")
    assert [request.after_revision for request in world.requests] == [2, 3, 4]
    assert result.stderr == ("tiara: the watch broke, and goes on when the control plane answers\n" * 3)


def test_watch_begins_anew_where_history_is_gone(
    tiara: Tiara, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says so."""
    rounds(monkeypatch, watch, lambda: None)
    world.watches = [([], CODE.OUT_OF_RANGE), ([synced(90)], CODE.UNAVAILABLE)]
    result = tiara("watch --after 5")
    assert [request.after_revision for request in world.requests] == [5, 0]
    assert result.stderr.startswith("tiara: what came after revision 5 is no longer kept: all again\n")


def test_watch_does_not_trust_silence(tiara: Tiara, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without heartbeats the connection is dead, whatever the network says: another one goes on."""
    rounds(monkeypatch, watch, lambda: None)
    monkeypatch.setattr(watch, "SILENCE_S", 0.3)
    world.watches = [([synced(3)], CODE.OK), ([synced(4)], CODE.UNAVAILABLE)]
    result = tiara("watch")
    world.silence.set()
    assert [request.after_revision for request in world.requests] == [0, 3]
    assert world.requests[0].heartbeat.seconds == watch.HEARTBEAT_S
    assert result.stdout == "3 = complete up to here\n4 = complete up to here\n"


def test_watch_needs_a_first_answer(tiara: Tiara, world: World) -> None:
    """And ends with what will not change by waiting."""
    world.watches = [([], CODE.UNAVAILABLE), ([synced(1)], CODE.PERMISSION_DENIED)]
    assert tiara("watch").exit_code == 3
    assert tiara("watch").exit_code == 1


# completion


def test_completion_of_names(
    tiara: Tiara, world: World, past: list[pb.Revision], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of resources, revisions and owners, and of names where resources are changed."""
    world.page = 1000
    tiara("pool create web --mode l2")
    tiara("backend create web/b1 --address 198.18.0.11")
    tiara("service create web --frontend tcp:198.18.100.1:80 --pool web")
    world.exported.configuration.backends.add(owner="shop")

    def complete(line: str) -> list[str]:
        words = f"tiara --server unix:{tmp_path}/api.sock {line}"
        environment = {
            "_TIARA_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split())),
        }
        done = CliRunner().invoke(cli, [], prog_name="tiara", env=environment)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert complete("history --resource ") == ["backendPools/web", "virtualServices/web", "web/b1"]
    assert complete("events --resource ") == ["backendPools/web", "virtualServices/web", "web/b1"]
    assert complete("rollback ") == complete("history ") == ["3", "2", "1"]
    assert complete("export --owner ") == ["shop"]
    assert complete("backend set ") == complete("backend disable ") == ["web/b1"]
    assert complete("pool set ") == complete("service set ") == complete("service set web --pool ") == ["web"]


def test_every_command_has_help_with_an_example() -> None:
    """What a reader types is in the help."""
    for name in (
        "plan",
        "apply",
        "diff",
        "export",
        "backup",
        "restore",
        "history",
        "rollback",
        "events",
        "watch",
    ):
        command = cli.commands[name]
        assert isinstance(command, click.Command)
        assert f"tiara {name}" in (command.help or "").replace("\b", ""), name
