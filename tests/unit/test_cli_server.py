# SPDX-License-Identifier: Apache-2.0
"""`tiara` and the control plane's own words: what the one says, the other shows."""

import asyncio
import logging
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from cli_fake import CODE, serving
from click.testing import CliRunner, Result
from conftest import Api
from tiara.api.errors import status_of
from tiara.cli import lbfile
from tiara.cli.main import cli
from tiara.domain import errors as domain_errors
from tiara.domain.history import EventKind
from tiara.reconciler import Reconciler
from tiara.server import start_api
from tiara.v1 import configuration_pb2 as pb

Tiara = Callable[..., Awaitable[Result]]

README = (Path(__file__).parents[2] / "README.md").read_text()
LB = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[0]
IPVSADM = """\
-A -t 198.18.100.1:80 -s wrr
-a -t 198.18.100.1:80 -r 198.18.0.11:80 -g -w 3
-a -t 198.18.100.1:80 -r 198.18.0.12:80 -g -w 0
-A -u 198.18.100.3:53 -s mh -b mh-port
-a -u 198.18.100.3:53 -r 198.18.0.21:53 -i -w 1
"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The control plane's log would come between a command's lines."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def tiara(api: Api, tmp_path: Path) -> Tiara:
    """Runs a command line against a real control plane."""

    async def run(line: str, stdin: str = "") -> Result:
        arguments = ["--server", f"unix:{tmp_path}/api.sock", *line.split()]
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments, stdin)

    return run


async def done(tiara: Tiara, line: str, stdin: str = "") -> str:
    """What a command prints that must succeed."""
    result = await tiara(line, stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def edited(text: str) -> str:
    """As the README says."""
    return text.replace("198.18.0.21}", "198.18.0.21, weight: 3}").replace(
        "- {name: backendPools/shop/backends/s3, address: 198.18.0.23}\n", ""
    )


@pytest.mark.parametrize(
    "error",
    [
        domain_errors.InvalidField("backend.weight", "65536 is more than 65535"),
        domain_errors.NotFound("backendPools/web", "virtual_service.backend_pool"),
        domain_errors.NotFound("backendPools/web"),
        domain_errors.AlreadyExists("tcp 198.18.100.1:80", "virtualServices/web", "web has it"),
        domain_errors.Aborted("backendPools/web", "backendPools/web has changed: read it again"),
        domain_errors.FailedPrecondition("backendPools/web", "2 backends are in it: set force"),
    ],
)
def test_the_control_planes_own_errors_are_one_line(tmp_path: Path, error: domain_errors.TiaraError) -> None:
    """Its messages are whole sentences: its details repeat them for programs, not for people."""
    status = status_of(error)
    code = next(code for code in CODE if code.value[0] == status.code)
    with serving(tmp_path / "api.sock") as world:
        world.fail["GetNode"] = (code, status.message, list(status.details))
        result = CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", "node"])
    assert (result.exit_code, result.stderr) == (1, f"tiara: {error}\n")


def chance(text: str) -> str:
    """Without the rows that move: which depends on the table's secret key."""
    return re.sub(r"^shop .*%$", "shop ... %", text, flags=re.MULTILINE)


async def test_the_readme_s_plan_is_what_is_printed(
    tiara: Tiara, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session, with the connections that it tells of."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "lb.yaml"
    block = re.findall(r"^```shell-session\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[0]
    _, applied, plan = re.split(r"^\$ tiara .*\n", block, flags=re.MULTILINE)
    file.write_text(LB)
    assert (await done(tiara, "apply -f lb.yaml --yes")).splitlines(keepends=True)[-1] == applied
    for backend, first, count in (("s1", 1, 400), ("s2", 1001, 350), ("s3", 2001, 250)):
        clients = "".join(f"198.18.0.7:{port}\n" for port in range(first, first + count))
        await done(tiara, f"connection push --service shop --backend shop/{backend} -", clients)
    await done(tiara, "backend drain shop/s2")
    file.write_text(edited(LB))
    result = await tiara("plan -f lb.yaml")
    assert (result.exit_code, chance(result.stdout)) == (2, chance(plan)), result.stdout


async def test_export_applies_unchanged(tiara: Tiara, tmp_path: Path) -> None:
    """Of one owner: there is nothing to do, whoever else made something, and drained or not."""
    file = tmp_path / "lb.yaml"
    file.write_text(LB)
    await done(tiara, f"apply -f {file} --yes")
    await done(tiara, "pool create other --mode ipip")
    await done(tiara, "backend disable shop/s1")
    exported = await done(tiara, "export --owner shop")
    planned = await done(tiara, "plan -f -", exported)
    assert planned.startswith("nothing to do")
    assert "shop/s1 is disabled by an operator: stays so" in planned
    assert await done(tiara, "diff -f -", exported)
    assert await done(tiara, "apply -f -", exported)


async def test_what_nobody_declared_can_be_taken_over(tiara: Tiara) -> None:
    """An export of what single calls made says what is missing: an owner."""
    await done(tiara, "pool create web --mode l2")
    await done(tiara, "backend create web/b1 --address 198.18.0.11")
    exported = await done(tiara, "export")
    assert exported.startswith('# nobody declared these: set "owner" to an id of yours to do so by apply\n')
    assert "owner: must be set" in (await tiara("plan -f -", exported)).stderr
    planned = await tiara("plan -f -", f"owner: ops\n{exported}")
    assert (planned.exit_code, planned.stdout.count("not set -> ops")) == (2, 2)
    await done(tiara, "apply --yes -f -", f"owner: ops\n{exported}")
    assert (await done(tiara, "export")).startswith("owner: ops\n")


async def test_exports_of_several_owners(tiara: Tiara) -> None:
    """Cannot be applied as one: the header says how."""
    await done(tiara, "apply --yes -f -", LB)
    await done(tiara, "apply --yes -f -", await done(tiara, "import ipvsadm -", IPVSADM))
    assert (await done(tiara, "export")).startswith(
        "# of several owners, to be applied one by one: --owner ipvsadm or shop\n"
    )


async def test_what_ipvsadm_said_is_applied(tiara: Tiara) -> None:
    """Without a change to the file; then there is nothing left to do."""
    imported = await done(tiara, "import ipvsadm -", IPVSADM)
    assert "configuration applied: 7 added" in await done(tiara, "apply --yes -f -", imported)
    assert (await done(tiara, "plan -f -", imported)).startswith("nothing to do")


async def test_backup_and_restore_bring_all_back(tiara: Tiara, api: Api, tmp_path: Path) -> None:
    """Owners, drains and disables too, over whatever is there."""

    async def stored() -> pb.Configuration:
        answer = await api.configuration.ExportConfiguration(pb.ExportConfigurationRequest())
        return lbfile.wishes(answer.configuration, whole=True)

    await done(tiara, "apply --yes -f -", LB)
    await done(tiara, "pool create hand --mode l2")
    await done(tiara, "backend create hand/h1 --address 198.18.0.31 --weight 0")
    await done(tiara, "backend drain shop/s1 --deadline 1h")
    await done(tiara, "backend disable shop/s2")
    wanted = await stored()
    assert wanted.backends[1].status.HasField("drain_deadline")
    copy = tmp_path / "backup.yaml"
    await done(tiara, f"backup {copy}")
    await done(tiara, "pool delete hand --force")
    await done(tiara, "backend undrain shop/s1")
    await done(tiara, "service delete shop")
    await done(tiara, "backend create shop/s9 --address 198.18.0.39")
    assert await stored() != wanted
    assert "restored: " in await done(tiara, f"restore {copy} --yes --allow-removal")
    assert await stored() == wanted
    assert (await done(tiara, f"restore {copy}")).startswith("nothing to do")


async def test_removals_and_stale_plans_are_refused(tiara: Tiara) -> None:
    """Both by the server's own words, and nothing is written."""
    await done(tiara, "apply --yes -f -", LB)
    bare = "owner: shop\n"
    refused = await tiara("apply --yes -f -", bare)
    assert (refused.exit_code, "needs --allow-removal" in refused.stdout) == (1, True)
    assert (await done(tiara, "history")).count("\n") == 2
    await done(tiara, "apply --yes --allow-removal -f -", bare)
    assert (await done(tiara, "history")).count("\n") == 3


@pytest.mark.parametrize(
    ("right", "wrong", "where"),
    [
        ("port: 443", "port: 65536", "13:59: virtual_services[0].frontends[0].port: 65536 "),
        ("198.18.0.22", "198.18.0.222.1", "7:50: backends[1].address: "),
        ("backends/s3", "backends/S3", "8:10: backends[2].name: "),
        ("owner: shop", "owner: Shop", "1:8: owner: "),
        (
            "backendPool: backendPools/shop",
            "backendPool: backendPools/none",
            "11:16: virtual_services[0].backend",
        ),
        (
            "address: 198.18.0.22",
            "address: 198.18.0.21",
            "7:50: backends[1].address: 198.18.0.21 belongs to ",
        ),
    ],
)
async def test_the_server_s_refusals_have_lines(tiara: Tiara, right: str, wrong: str, where: str) -> None:
    """Whatever check of the server's refuses a field of the file."""
    assert right in LB
    result = await tiara("plan -f -", LB.replace(right, wrong))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"tiara: stdin:{where}"), result.stderr


async def test_history_and_rollback(tiara: Tiara) -> None:
    """Back through a plan; drains stay; history tells of each."""
    await done(tiara, "apply --yes -f -", LB)
    assert "status" not in await done(tiara, "history 1"), "nothing that only a server sets"
    await done(tiara, "apply --yes -f -", edited(LB))
    await done(tiara, "backend drain shop/s2")
    await done(tiara, "backend set shop/s2 --weight 9")
    second = await done(tiara, "history 2")
    assert re.search(r"~  +backend shop/s1  weight  1 -> 3\n", second)
    assert re.search(r"-  +backend shop/s3\n", second)
    back = await done(tiara, "rollback 1 --yes")
    assert "shop/s2 is drained by an operator: stays so" in back
    assert "rolled back to revision 1: 1 added, 2 changed (revision 5" in back
    lines = (await done(tiara, "history --resource shop/s2")).splitlines()
    assert [line.split()[0] for line in lines] == ["Revision", "5", "4", "3", "1"]
    assert "draining" in await done(tiara, "backend list shop")


async def test_updates_of_single_resources(tiara: Tiara) -> None:
    """By mask: what is not named stays; a stale etag is refused."""
    await done(tiara, "apply --yes -f -", LB)
    await done(tiara, "pool set shop --check-http 80/up --interval 5s")
    await done(tiara, "pool set shop --fall 9")
    shown = " ".join((await done(tiara, "pool get shop")).split())
    assert "http 80/up expects 200-399 every 5s, failed after 1s, up after 2, down after 9" in shown
    await done(tiara, "pool set shop --no-check")
    assert "none: every backend counts as up" in await done(tiara, "pool get shop")
    await done(tiara, "service set shop --frontend tcp:198.18.100.2:80 --timeout-udp 9s")
    shown = " ".join((await done(tiara, "service get shop")).split())
    assert "Frontend tcp 198.18.100.2:80 Pool shop" in shown
    assert "Timeout udp 9s" in shown
    stale = await tiara("backend set shop/s1 --weight 2 --etag 0")
    assert (stale.exit_code, "changed" in stale.stderr) == (1, True)


@asynccontextmanager
async def following(socket: Path, *command: str) -> AsyncIterator[Callable[[str], Awaitable[list[str]]]]:
    """A command that goes on; called with the end of a line, gives the lines until that one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tiara.cli.main", "--server", f"unix:{socket}", *command),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    stream = process.stdout

    async def until(end: str) -> list[str]:
        lines: list[str] = []
        async with asyncio.timeout(20):
            while not lines or not lines[-1].endswith(end):
                lines.append((await stream.readline()).decode().rstrip("\n"))
                assert lines[-1], f"the command ended before {end!r}: {lines}"
        return lines

    try:
        yield until
    finally:
        process.kill()
        await process.wait()


async def test_watch_follows_the_store(tiara: Tiara, tmp_path: Path) -> None:
    """A snapshot, then each change with its revision."""
    await done(tiara, "apply --yes -f -", LB)
    async with following(tmp_path / "api.sock", "watch") as until:
        assert await until("= complete up to here") == [
            "1 + pool shop l2 maglev",
            "1 + backend shop/s1 198.18.0.21 weight 1 - active",
            "1 + backend shop/s2 198.18.0.22 weight 1 - active",
            "1 + backend shop/s3 198.18.0.23 weight 1 - active",
            "1 + service shop tcp 198.18.100.2:443 by shop",
            "1 = complete up to here",
        ]
        await done(tiara, "apply --yes -f -", edited(LB))
        assert sorted(await until("2 = complete up to here")) == [
            "2 + backend shop/s1 198.18.0.21 weight 3 - active",
            "2 - backend shop/s3",
            "2 = complete up to here",
        ]


async def test_watch_outlives_a_restart(reconciler: Reconciler, tiara: Tiara, tmp_path: Path) -> None:
    """It goes on after what it has seen, and shows nothing twice."""
    socket = tmp_path / "other.sock"
    target = f"unix:{socket}"
    server = await start_api(reconciler, target, "test")
    await done(tiara, "pool create web --mode l2")
    async with following(socket, "watch") as until:
        await until("1 = complete up to here")
        await server.stop(0)
        await done(tiara, "pool create far --mode ipip")
        server = await start_api(reconciler, target, "test")
        assert await until("= complete up to here") == ["2 + pool far ipip maglev", "2 = complete up to here"]
    await server.stop(0)


async def test_events_are_those_of_the_server(tiara: Tiara, reconciler: Reconciler, tmp_path: Path) -> None:
    """Listed, filtered, and followed."""
    reconciler.events.happened(EventKind.BACKEND_DOWN, "backendPools/web/backends/b1", "connect: refused")
    async with following(tmp_path / "api.sock", "events", "--follow", "--kind", "backend-down") as until:
        (first,) = await until("backend web/b1  connect: refused")
        assert "  backend-down     " in first
        reconciler.events.happened(EventKind.TABLE_FILL, "nodes/test", "81 % full")
        reconciler.events.happened(EventKind.BACKEND_DOWN, "backendPools/web/backends/b2", "timeout")
        assert len(await until("backend web/b2  timeout")) == 1
    shown = (await done(tiara, "events --resource backendPools/web")).splitlines()
    assert [line.rpartition("  ")[2] for line in shown] == ["Message", "connect: refused", "timeout"]
