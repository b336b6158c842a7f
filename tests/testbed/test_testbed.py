# SPDX-License-Identifier: Apache-2.0
"""The testbed of docker-compose.yml, asserted: one run, one test for each promise."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import scenario
from engine import EngineError, OwnEngine, Say, find
from scenario import PROBES, TCP_FLOWS, UDP_FLOWS, Run

KILL_STEPS = ("data plane killed", "control plane away", "control plane back", "both killed")


@pytest.fixture(scope="module")
def played(say: Say) -> Iterator[Run]:
    """The whole run; its containers, and a daemon of our own, are gone when the tests begin."""
    try:
        engine = find(say)
        try:
            run = scenario.played(engine, say)
        finally:
            engine.close()
    except EngineError as error:
        pytest.exit(str(error), returncode=1)  # one sentence, not one for each test
    if isinstance(engine, OwnEngine):
        run.left += scenario.left_of_engine()
    yield run


def test_nothing_breaks_while_daemons_are_killed(played: Run) -> None:
    """kill -9 of the data plane's container, the control plane's, and both: 0 of the held flows broken."""
    for name, step in played.steps.items():
        if name.startswith("b2 "):
            continue
        assert step.report.broken == [], name
        assert (step.report.held_tcp, step.report.held_udp) == (TCP_FLOWS, UDP_FLOWS), name
        assert step.report.requests >= step.report.held, name
    assert set(KILL_STEPS) < set(played.steps)


def test_containers_were_really_killed(played: Run) -> None:
    """Each time the container was down with 137, SIGKILL's status; the data plane counts its starts."""
    services = ["dataplane", "controlplane", "dataplane", "controlplane"]
    assert played.killed == [(service, "exited", 137) for service in services]
    assert played.starts == 4  # once at first, once in the documentation, twice here
    assert played.adopted.count(", created") == 1
    assert played.adopted.count(", adopted") == 3


def test_table_holds_each_connection_where_it_was(played: Run) -> None:
    """After every step the connection table has each held flow with the backend it began with."""
    assert {name: step.disagreeing for name, step in played.steps.items() if step.disagreeing} == {}


def test_new_connections_follow_the_backends(played: Run) -> None:
    """A drain over gRPC holds for new connections, also after the kills: only the other server has them."""
    wanted = {
        "both servers": {"b1", "b2"},
        "b1 drains": {"b2"},
        "data plane killed": {"b2"},
        "control plane away": {"b2"},
        "control plane back": {"b2"},
        "b1 undrained": {"b1", "b2"},
        "b2 drains": {"b1"},
        "both killed": {"b1"},
        "b2 killed": {"b1"},
        "b2 back": {"b1", "b2"},
    }
    assert {name: set(step.probed.values()) for name, step in played.steps.items()} == wanted
    assert {len(step.probed) for step in played.steps.values()} == {PROBES}


def test_health_checks_go_through_the_data_plane(played: Run) -> None:
    """Servers are up also after the data plane's container was killed; a killed server is down, then up."""
    up, down = "HEALTH_STATE_UP", "HEALTH_STATE_DOWN"
    assert played.health == {
        "after the examples": {"b1": up, "b2": up},
        "after the kills": {"b1": up, "b2": up},
        "b2 killed": {"b1": up, "b2": down},
        "b2 back": {"b1": up, "b2": up},
    }


def test_killed_server_breaks_only_its_own(played: Run) -> None:
    """The connections of the server that is left stay whole."""
    broken = played.steps["b2 killed"].report.broken + played.steps["b2 back"].report.broken
    assert {flow.server for flow in broken} <= {"b2"}
    assert played.steps["b2 back"].report.held_tcp > 0


def test_documentation_prints_what_it_says(played: Run) -> None:
    """The commands of docs/testbed.md; servers' names and numbers that differ from run to run aside."""
    for example in played.examples:
        assert _shape(example.printed) == _shape(example.shown), example.command


def test_kernel_forwards_nothing(played: Run) -> None:
    """What reaches a server has passed the data plane."""
    assert (played.ip_forward, played.forwarded_by_kernel) == ("0", "0")


def test_one_volume_for_segment_and_sockets(played: Run) -> None:
    """Both daemons' containers share it, and run without --privileged."""
    shared = {"tiara:/dev/shm", "tiara:/run/tiara"}
    assert set(played.mounts["dataplane"]) == shared
    assert set(played.mounts["controlplane"]) == shared | {"store:/var/lib/tiara"}
    assert played.privileged == []


def test_nothing_is_left(played: Run) -> None:
    """No container, network, volume, image; no process, mount, control group or bridge of our own daemon."""
    assert played.left == []


def _shape(text: str) -> str:
    """The text without what may differ: which server, how many of them, how fast."""
    text = re.sub(r"\bb[12]\b", "B", text)
    text = re.sub(r"(: B \d+, B \d+)", ": SHARE", text)
    return re.sub(r" *[\d.]+ (answers|ms|s)\b", r" N \1", text)
