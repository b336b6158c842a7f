# SPDX-License-Identifier: Apache-2.0
"""Both daemons have no more rights than serving needs, and it works with those."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dataplane_world import KEY, SIZES, World, wait_for
from testbed.balancer import CONTROLPLANE, CONTROLPLANE_PROGRAM, DATAPLANE, Balancer
from testbed.balancer import SIZES as BALANCER_SIZES
from testbed.topology import TCP_VIP, Topology, segment_files, server_address

NOBODY = pwd.getpwnam("nobody")
NET_ADMIN = 1 << 12
_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


@pytest.fixture
def topology() -> Iterator[Topology]:
    """A client, a balancer without daemons, two servers."""
    with Topology("test-privilege", servers=2) as topology:
        yield topology


def rights(pid: int) -> dict[int, tuple[int, int]]:
    """Of each thread: its capabilities in any set, and whether no program can give it more."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        any_set = 0
        for name in _SETS:
            any_set |= int(status[name], 16)
        found[int(task.name)] = (any_set, int(status["NoNewPrivs"]))
    return found


def users(pid: int) -> set[str]:
    """All user and group numbers that any of its threads has."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith(("Uid:", "Gid:", "Groups:")):
                found |= {*line.split()[1:]}
    return found


@pytest.mark.parametrize(
    ("io", "arguments"), [("af_packet", []), ("af_packet", ["--workers=3", "--user=nobody"])]
)
def test_data_plane_keeps_nothing(topology: Topology, io: str, arguments: list[str]) -> None:
    """No thread has a capability, while it forwards and after it has adopted a killed one's segment."""
    world = World(topology, io)
    for start in range(2):
        world.start(*SIZES, *arguments)
        world.publish(*[server_address(1 + start)])
        assert world.get("client", TCP_VIP) == f"b{1 + start}"
        assert world.get("balancer", server_address(1)) == "b1"
        has = rights(topology.process(KEY).pid)
        assert len(has) >= 3
        assert {*has.values()} == {(0, 1)}
        if "--user=nobody" in arguments:
            assert users(topology.process(KEY).pid) == {str(NOBODY.pw_uid), str(NOBODY.pw_gid)}
        assert world.stop(signal.SIGKILL if start == 0 else signal.SIGTERM) == (-9 if start == 0 else 0)


def test_start_with_no_more_than_three_capabilities(topology: Topology) -> None:
    """As systemd does it: a user who is not root, NET_RAW, NET_ADMIN, IPC_LOCK; those are given up too."""

    class Unprivileged(World):
        def command(self, *arguments: str) -> list[str]:
            capabilities = "+net_raw,+net_admin,+ipc_lock"
            return [
                *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
                *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"),
                *super().command(*arguments),
            ]

    world = Unprivileged(topology, "af_packet")
    world.start(*SIZES)
    world.publish(server_address(1))
    assert world.get("client", TCP_VIP) == "b1"
    assert {*rights(topology.process(KEY).pid).values()} == {(0, 1)}
    assert users(topology.process(KEY).pid) == {str(NOBODY.pw_uid), str(NOBODY.pw_gid)}


def test_af_xdp_keeps_what_its_end_needs(topology: Topology) -> None:
    """NET_ADMIN in the main thread alone: by it the XDP program is off the interface after SIGTERM."""
    world = World(topology, "af_xdp")
    world.start(*SIZES, "--user=nobody")
    world.publish(server_address(1))
    assert world.get("client", TCP_VIP) == "b1"
    pid = topology.process(KEY).pid
    has = rights(pid)
    assert has.pop(pid) == (NET_ADMIN, 1)
    assert {*has.values()} == {(0, 1)}
    assert "prog/xdp" in topology.run("balancer", "ip", "link", "show", "eth0")
    assert world.stop() == 0
    assert "prog/xdp" not in topology.run("balancer", "ip", "link", "show", "eth0")


def test_capabilities_are_kept_where_asked_for(topology: Topology) -> None:
    """--keep-capabilities; a program that is executed gets no more all the same."""
    world = World(topology, "af_packet")
    world.start(*SIZES, "--keep-capabilities")
    assert all(has & NET_ADMIN and sealed for has, sealed in rights(topology.process(KEY).pid).values())


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--user=nobody-has-it", '--user: there is no user "nobody-has-it" on this machine'),
        ("--user=root", "--user: is root; leave it away"),
        ("--group=nobody-has-it", '--group: there is no group "nobody-has-it" on this machine'),
    ],
)
def test_users_that_are_refused(topology: Topology, argument: str, sentence: str) -> None:
    """Before anything is touched."""
    done = World(topology, "af_packet").run(*SIZES, argument)
    assert (done.returncode, sentence in done.stderr) == (2, True)
    assert segment_files(topology.name) == []


def control_plane(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One that is expected to end by itself, with everything in this folder."""
    where = [f"--listen=unix:{folder}/api.sock", f"--store={folder}/store.db"]
    command = [*CONTROLPLANE_PROGRAM, "--instance=test-privilege", *where, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_folders_of_root_are_not_given_away(tmp_path: Path) -> None:
    """--user makes its own; what is root's already stays so, and the sentence says what to do."""
    done = control_plane(tmp_path, "--user=nobody")
    assert done.returncode == 1
    assert f"{tmp_path} cannot be written by the user nobody: chown -R nobody {tmp_path}" in done.stderr
    assert tmp_path.stat().st_uid == 0


def test_access_belongs_to_who_serves(tmp_path: Path) -> None:
    """What root adds, the control plane's user reads: the file is its folder's owner's."""
    os.chown(tmp_path, NOBODY.pw_uid, NOBODY.pw_gid)
    assert control_plane(tmp_path, "token", "add", "ci", "--scope=read").returncode == 0
    had = (tmp_path / "access.json").stat()
    assert (had.st_uid, stat.S_IMODE(had.st_mode)) == (NOBODY.pw_uid, 0o600)


def test_control_plane_of_nobody(topology: Topology) -> None:
    """It serves, checks health and follows as a user that may nothing, through its group alone."""
    os.chown(topology.folder, NOBODY.pw_uid, NOBODY.pw_gid)
    sizes: dict[str, int | str] = {**BALANCER_SIZES, "group": "nogroup"}
    program = (*CONTROLPLANE_PROGRAM, "--user=nobody", "--group=nogroup")
    balancer = Balancer(topology, sizes=sizes, controlplane=program)
    balancer.start()
    (path,) = segment_files(topology.name)
    had = path.stat()
    assert (stat.S_IMODE(had.st_mode), had.st_uid, had.st_gid) == (0o660, 0, NOBODY.pw_gid)

    pid = topology.process(CONTROLPLANE).pid
    assert {has for has, _ in rights(pid).values()} == {0}
    assert users(pid) == {str(NOBODY.pw_uid), str(NOBODY.pw_gid)}
    balancer.create_pool("web", "l2", check_port=80)
    balancer.cli(f"tiara backend create web/b1 --address {server_address(1)}")
    balancer.cli(f"tiara service create web --frontend tcp:{TCP_VIP}:80 --pool web")
    wait_for("health", lambda: '"HEALTH_STATE_UP"' in balancer.cli("tiara backend list web -o json"))
    assert World(topology, "af_packet").get("client", TCP_VIP) == "b1"

    balancer.kill(DATAPLANE)
    balancer.kill(CONTROLPLANE)
    balancer.start()
    balancer.cli(f"tiara backend create web/b2 --address {server_address(2)}")
    assert World(topology, "af_packet").get("client", TCP_VIP) in ("b1", "b2")
