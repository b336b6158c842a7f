# SPDX-License-Identifier: Apache-2.0
"""`tiara plan`, `diff`, `apply`, `export`, `backup`, `restore`: against a fake server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from cli_fake import CODE, World, bad_field, serving
from click.testing import CliRunner, Result
from google.protobuf import json_format
from tiara.cli import change, lbfile, proposal
from tiara.cli.main import cli
from tiara.v1 import backend_pool_pb2 as pool_pb
from tiara.v1 import configuration_pb2 as pb

Tiara = Callable[..., Result]

LB = """\
owner: shop
backendPools:
- name: backendPools/web
  forwardingMode: FORWARDING_MODE_L2_DIRECT_RETURN
virtualServices:
- name: virtualServices/web
  backendPool: backendPools/web
  frontends:
  - {address: 198.18.100.1, protocol: PROTOCOL_TCP, port: 99999}
"""
B1, B2, B3 = (f"backendPools/web/backends/b{i}" for i in (1, 2, 3))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fake server with nothing in it."""
    with serving(tmp_path / "api.sock") as world:
        yield world


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An lb.yaml."""
    path = tmp_path / "lb.yaml"
    path.write_text(LB)
    return path


@pytest.fixture
def tiara(tmp_path: Path, world: World) -> Tiara:
    """Runs a command line against the fake."""

    def run(line: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", *line.split()], stdin)

    return run


def changing(
    action: "pb.ChangeAction.ValueType", name: str, *fields: tuple[str, str, str]
) -> pb.ResourceChange:
    """A change of these fields: path, before, after."""
    made = [pb.FieldChange(path=path, before=before, after=after) for path, before, after in fields]
    return pb.ResourceChange(action=action, name=name, fields=made)


@pytest.fixture
def planned(world: World) -> pb.Plan:
    """All kinds of changes."""
    removed = changing(pb.CHANGE_ACTION_REMOVE, B3, ("address", '"198.18.0.13"', ""))
    removed.affected_connections = 1412
    replaced = changing(pb.CHANGE_ACTION_REPLACE, B2, ("address", '"198.18.0.12"', '"198.18.0.22"'))
    replaced.affected_connections = 88
    world.plan = pb.Plan(
        revision=7,
        changes=[
            removed,
            changing(pb.CHANGE_ACTION_CHANGE, B1, ("weight", "1", "3")),
            replaced,
            changing(pb.CHANGE_ACTION_ADD, "backendPools/web/backends/b4", ("address", "", '"198.18.0.14"')),
            changing(
                pb.CHANGE_ACTION_CHANGE,
                "backendPools/web",
                ("health_check.interval", "", '"5s"'),
                ("health_check.http", '{"port":80}', ""),
            ),
        ],
        pools=[
            pb.PoolRows(backend_pool="backendPools/web", moved=13107, rows=65537),
            pb.PoolRows(backend_pool="backendPools/old", moved=0, rows=0),
        ],
        affected_connections=1500,
        live_connections=120000,
        overrides=[pb.Override(backend=B1, draining=True), pb.Override(backend=B2)],
        removal_reasons=["backendPools/web would lose 3 of its 4 backends"],
        counted=True,
    )
    return world.plan


def golden(text: str) -> str:
    """The expected output, written with the indentation of the test."""
    return dedent(text).lstrip("\n")


PLAN = golden("""
         Resource        Connections  Field                  Value
    -    backend web/b3        1,412
    ~    backend web/b1               weight                 1 -> 3
    -/+  backend web/b2           88  address                198.18.0.12 -> 198.18.0.22
    +    backend web/b4               address                198.18.0.14
    ~    pool web                     health_check.interval  not set -> 5s
                                      health_check.http      {"port":80} -> not set

    Pool  Rows moved      Of  Share
    web       13,107  65,537  20.0 %
    old            0       0  no backend can be chosen

    1 added, 2 changed, 1 replaced, 1 removed; holds for revision 7
    1,500 of 120,000 live connections lose their server
    web/b1 is drained by an operator: stays so
    web/b2 is disabled by an operator: stays so
    needs --allow-removal: backendPools/web would lose 3 of its 4 backends
    """)


# plan and diff


def test_plan_shows_all_that_would_happen(tiara: Tiara, planned: pb.Plan, file: Path) -> None:
    """Exactly this, and exit code 2: there are changes."""
    result = tiara(f"plan -f {file}")
    assert (result.exit_code, result.stdout, result.stderr) == (2, PLAN, "")


def test_plan_sends_what_the_file_says(tiara: Tiara, world: World, file: Path) -> None:
    """Not whole: what others made stays. From stdin too."""
    tiara(f"plan -f {file}")
    tiara("plan -f -", LB)
    wanted = pb.PlanConfigurationRequest(configuration=lbfile.parse("", LB).configuration)
    assert world.requests == [wanted, wanted]


def test_plan_with_nothing_to_do(tiara: Tiara, world: World, file: Path) -> None:
    """Exit code 0; overrides are shown all the same."""
    world.plan = pb.Plan(revision=7, overrides=[pb.Override(backend=B1, draining=True)], counted=True)
    result = tiara(f"plan -f {file}")
    assert (result.exit_code, result.stdout) == (
        0,
        "nothing to do: revision 7 is as declared\nweb/b1 is drained by an operator: stays so\n",
    )


def test_plan_without_a_table(tiara: Tiara, planned: pb.Plan, file: Path) -> None:
    """No number is shown that was not counted."""
    planned.counted = False
    shown = tiara(f"plan -f {file}").stdout
    assert "connections are not counted: there is no table yet\n" in shown
    assert "Connections" not in shown


def test_plan_as_json(tiara: Tiara, planned: pb.Plan, file: Path) -> None:
    """The API's message, with the same exit code."""
    result = tiara(f"plan -f {file} -o json")
    assert result.exit_code == 2
    assert json_format.ParseDict(json.loads(result.stdout), pb.Plan()) == planned


def test_diff_is_of_the_store_alone(tiara: Tiara, planned: pb.Plan, file: Path) -> None:
    """Changes without connections; exit code 1 as diff has."""
    result = tiara(f"diff -f {file}")
    assert (result.exit_code, result.stdout) == (
        1,
        golden("""
                 Resource        Field                  Value
            -    backend web/b3
            ~    backend web/b1  weight                 1 -> 3
            -/+  backend web/b2  address                198.18.0.12 -> 198.18.0.22
            +    backend web/b4  address                198.18.0.14
            ~    pool web        health_check.interval  not set -> 5s
                                 health_check.http      {"port":80} -> not set

            1 added, 2 changed, 1 replaced, 1 removed from revision 7
            """),
    )
    assert "1412" not in tiara(f"diff -f {file} -o json").stdout


def test_diff_of_what_is_equal(tiara: Tiara, world: World, file: Path) -> None:
    """Exit code 0."""
    result = tiara(f"diff -f {file}")
    assert (result.exit_code, result.stdout) == (0, "no difference from revision 0\n")


@pytest.mark.parametrize(("command", "trouble"), [("plan", 1), ("diff", 2)])
def test_trouble_is_not_taken_for_a_difference(
    tiara: Tiara, world: World, tmp_path: Path, file: Path, command: str, trouble: int
) -> None:
    """A wrong command line, a wrong file, a refusal: none ends as changes do; no server is still 3."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("owner: [")
    for line in (f"{command} --nonsense", f"{command} -f {tmp_path}/none", f"{command} -f {bad}"):
        assert tiara(line).exit_code == trouble, line
    world.fail["PlanConfiguration"] = (CODE.INVALID_ARGUMENT, "no", [])
    assert tiara(f"{command} -f {file}").exit_code == trouble
    world.fail["PlanConfiguration"] = (CODE.UNAVAILABLE, "no", [])
    assert tiara(f"{command} -f {file}").exit_code == 3


@pytest.mark.parametrize("command", ["plan", "diff", "apply --yes"])
def test_the_server_s_fields_are_lines_of_the_file(
    tiara: Tiara, world: World, file: Path, command: str
) -> None:
    """All of them, in the order of lines."""
    details = [
        bad_field("configuration.virtual_services[0].frontends[0].port", "99999 is not in 1 to 65535"),
        bad_field("configuration.backend_pools[0].vxlan.vni", "must be set"),
    ]
    world.fail["PlanConfiguration"] = (CODE.INVALID_ARGUMENT, "the configuration is invalid", details)
    assert tiara(f"{command} -f {file}").stderr == (
        f"tiara: {file}:3:3: backend_pools[0].vxlan.vni: must be set\n"
        f"  {file}:9:59: virtual_services[0].frontends[0].port: 99999 is not in 1 to 65535\n"
    )


def test_other_refusals_stay_as_they_are(tiara: Tiara, world: World, file: Path) -> None:
    """What is about no field of the file has no line."""
    world.fail["PlanConfiguration"] = (CODE.FAILED_PRECONDITION, "the store is read-only", [])
    assert tiara(f"plan -f {file}").stderr == "tiara: the store is read-only\n"
    detail = bad_field("plan_revision", "is wrong")
    world.fail["PlanConfiguration"] = (CODE.INVALID_ARGUMENT, "invalid", [detail])
    assert tiara(f"plan -f {file}").stderr == "tiara: invalid\n  plan_revision: is wrong\n"


# apply


def test_apply_applies_the_plan_that_it_showed(
    tiara: Tiara, planned: pb.Plan, world: World, file: Path
) -> None:
    """At its revision, once, and waits until packets see it."""
    result = tiara(f"apply -f {file} --yes --allow-removal")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == PLAN + (
        "configuration applied: 1 added, 2 changed, 1 replaced, 1 removed"
        " (revision 1, applied as generation 1)\n"
    )
    _, sent, waited = world.requests
    assert len(sent.request_id) == 36
    sent.request_id = ""
    assert sent == pb.ApplyConfigurationRequest(
        configuration=lbfile.parse("", LB).configuration, plan_revision=7, allow_removal=True
    )
    assert waited.revision == 1


def test_apply_refuses_removals_unless_allowed(
    tiara: Tiara, planned: pb.Plan, world: World, file: Path
) -> None:
    """Nothing is sent; where no plan is printed the message has the reason."""
    result = tiara(f"apply -f {file} --yes")
    assert (result.exit_code, result.stderr) == (
        1,
        "tiara: nothing was changed: this needs --allow-removal\n",
    )
    assert "3 of its 4 backends" in tiara(f"apply -f {file} --yes -o json").stderr
    assert {type(request) for request in world.requests} == {pb.PlanConfigurationRequest}


def test_apply_needs_somebody_to_ask(tiara: Tiara, planned: pb.Plan, world: World, file: Path) -> None:
    """In a script without --yes nothing is applied."""
    planned.ClearField("removal_reasons")
    result = tiara(f"apply -f {file}", "y\n")
    assert result.exit_code == 2
    assert "nobody is there to ask: give --yes" in result.stderr
    assert len(world.requests) == 1


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_apply_asks_on_a_terminal(
    tiara: Tiara,
    planned: pb.Plan,
    world: World,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    """After the plan; no is the default."""
    monkeypatch.setattr(proposal, "on_terminal", lambda: True)
    planned.ClearField("removal_reasons")
    result = tiara(f"apply -f {file}", answer)
    assert result.exit_code == code
    assert "apply this (1 added, 2 changed, 1 replaced, 1 removed)? [y/N]: " in result.stderr
    assert (len(world.requests) == 3) == (code == 0)


def test_apply_of_a_plan_that_no_longer_holds(
    tiara: Tiara, planned: pb.Plan, world: World, file: Path
) -> None:
    """The server's refusal is the message."""
    message = "the plan was of revision 7, the store is at 8: plan again"
    world.fail["ApplyConfiguration"] = (CODE.ABORTED, message, [])
    result = tiara(f"apply -f {file} --yes --allow-removal")
    assert (result.exit_code, result.stderr) == (1, f"tiara: {message}\n")


def test_apply_with_nothing_to_do_sends_nothing(tiara: Tiara, world: World, file: Path) -> None:
    """And needs nobody's yes."""
    world.plan = pb.Plan(revision=7)
    result = tiara(f"apply -f {file}")
    assert (result.exit_code, result.stdout) == (0, "nothing to do: revision 7 is as declared\n")
    assert json.loads(tiara(f"apply -f {file} -o json").stdout) == {"revision": "7", "changes": []}
    assert {type(request) for request in world.requests} == {pb.PlanConfigurationRequest}


def test_apply_stored_but_not_applied(tiara: Tiara, planned: pb.Plan, world: World, file: Path) -> None:
    """As of every write: exit code 4."""
    world.fail["WaitApplied"] = (CODE.DEADLINE_EXCEEDED, "worker 1 still uses generation 3", [])
    assert tiara(f"apply -f {file} --yes --allow-removal").exit_code == 4


FRONTENDS = '[{"address": "198.18.100.1", "protocol": "PROTOCOL_TCP", "port": 80}]'


@pytest.mark.parametrize(
    ("path", "text", "shown"),
    [
        ("host", "", "not set"),
        ("host", '""', '""'),
        ("host", '"a b"', "a b"),
        ("weight", "7", "7"),
        ("host", '["a"]', '["a"]'),
        ("host", "not JSON", "not JSON"),
        ("frontends", FRONTENDS, "tcp 198.18.100.1:80"),
        ("frontends", "7", "7"),
        ("frontends", '[{"new": 1}]', '[{"new": 1}]'),
    ],
)
def test_values_as_people_read_them(path: str, text: str, shown: str) -> None:
    """Without the quotes that only JSON needs; what is not understood stays as it is."""
    assert change.plain(path, text) == shown


# export, backup, restore


@pytest.fixture
def exported(world: World) -> pb.ExportConfigurationResponse:
    """A stored configuration as a server gives it out."""
    pool = pool_pb.BackendPool(name="backendPools/web", owner="shop", uid="1" * 32, etag="e", revision=3)
    status = pool_pb.BackendStatus(draining=True, reason="x")
    backend = pool_pb.Backend(name=B1, owner="shop", address="198.18.0.11", status=status)
    world.exported = pb.ExportConfigurationResponse(
        revision=12, configuration=pb.Configuration(owner="shop", backend_pools=[pool], backends=[backend])
    )
    return world.exported


def test_export_prints_what_plan_takes(
    tiara: Tiara, world: World, exported: pb.ExportConfigurationResponse
) -> None:
    """Wishes only; of one owner where one is asked for."""
    result = tiara("export --owner shop")
    assert world.requests == [pb.ExportConfigurationRequest(owner="shop")]
    assert result.stdout == (
        "owner: shop\nbackendPools:\n- name: backendPools/web\n"
        f"backends:\n- name: {B1}\n  address: 198.18.0.11\n"
    )


def test_backup_and_restore(
    tiara: Tiara, world: World, exported: pb.ExportConfigurationResponse, planned: pb.Plan, tmp_path: Path
) -> None:
    """The file says of which revision it is; restoring is a plan of everything, at its revision."""
    copy = tmp_path / "backup.yaml"
    done = tiara(f"backup {copy}")
    assert done.stdout == f"revision 12 backed up to {copy}: pools 1, backends 1, services 0\n"
    assert copy.read_text().startswith("# tiara backup of revision 12, 20")
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup.yaml"]
    restored = tiara(f"restore {copy} --yes --allow-removal")
    assert restored.exit_code == 0, restored.stderr
    assert restored.stdout.startswith(PLAN + f"{copy} restored: 1 added")
    _, plan, applied, _ = world.requests
    wanted = lbfile.wishes(exported.configuration, whole=True)
    assert wanted.backends[0].status.draining
    assert (plan.configuration, plan.whole) == (wanted, True)
    assert (applied.configuration, applied.whole, applied.plan_revision) == (wanted, True, 7)


def test_restore_asks_and_refuses_as_apply_does(
    tiara: Tiara, world: World, planned: pb.Plan, file: Path
) -> None:
    """Without --yes, and without --allow-removal where something is removed."""
    assert "needs --allow-removal" in tiara(f"restore {file} --yes").stderr
    assert "give --yes" in tiara(f"restore {file} --allow-removal").stderr
    assert {type(request) for request in world.requests} == {pb.PlanConfigurationRequest}


def test_backup_to_stdout_and_to_nowhere(
    tiara: Tiara, exported: pb.ExportConfigurationResponse, tmp_path: Path
) -> None:
    """- is stdout, and nothing else is printed; what cannot be written is said."""
    assert lbfile.parse("", tiara("backup -").stdout).configuration.owner == "shop"
    result = tiara(f"backup {tmp_path}/none/backup.yaml")
    assert result.exit_code == 2
    assert "backup.yaml cannot be written: No such file" in result.stderr


# set, disable


def test_updates_name_the_fields_they_change(tiara: Tiara, world: World) -> None:
    """Nothing else of the resource is touched."""
    for line in (
        "pool create web --mode l2 --check-tcp 80 --rise 4",
        "backend create web/b1 --address 198.18.0.11 --weight 2",
        "service create web --frontend tcp:198.18.100.1:80 --pool web --timeout-udp 90s",
    ):
        assert tiara(line).exit_code == 0
    for line, said in (
        ("backend set web/b1 --weight 0", "backend web/b1 changed (revision 4, applied as generation 4)\n"),
        ("backend disable web/b1", "backend web/b1 disabled (revision 5, applied as generation 5)\n"),
        (
            "pool set web --interval 5s --fail-open",
            "pool web changed (revision 6, applied as generation 6)\n",
        ),
        ("service set web --timeout-new 5s", "service web changed (revision 7, applied as generation 7)\n"),
    ):
        assert tiara(line).stdout == said, tiara(line).stderr
    backend, pool = world.backends[B1], world.pools["backendPools/web"]
    assert (backend.weight, backend.address, backend.status.disabled) == (0, "198.18.0.11", True)
    check = pool.health_check
    assert (check.tcp.port, check.rise, check.interval.seconds, pool.fail_open) == (80, 4, 5, True)
    service = world.services["virtualServices/web"]
    assert (service.timeouts.udp.seconds, service.timeouts.tcp_new.seconds) == (90, 5)
    assert len(service.frontends) == 1
    assert "disabled" in tiara("backend list web").stdout
    tiara("backend undrain web/b1")
    assert "active" in tiara("backend list web").stdout


@pytest.mark.parametrize(
    ("line", "paths"),
    [
        ("pool set web --mode ipip --rows 4093", ["forwarding_mode", "selection_rows"]),
        ("pool set web --vni 7 --inner-mac 02:00:00:00:00:01", ["vxlan.vni", "vxlan.inner_mac"]),
        (
            "pool set web --check-https 443/up --check-verify --fall 9",
            ["health_check.http", "health_check.fall"],
        ),
        ("pool set web --check-tcp 81", ["health_check.tcp"]),
        ("pool set web --no-check --no-fail-open", ["health_check", "fail_open"]),
        ("pool set web --policy rendezvous --source-affinity", ["policy", "source_affinity"]),
        ("pool set web --no-source-affinity --slow-start 30s", ["slow_start", "source_affinity"]),
        ("pool set web --no-slow-start", ["slow_start"]),
        ("backend set web/b1 --port 0 --weight 9", ["weight", "port"]),
        ("service set web --pool far", ["backend_pool"]),
        ("service set web --frontend tcp:198.18.100.1:443", ["frontends"]),
        ("service set web --timeout-closing 9s", ["timeouts.tcp_closing"]),
        ("backend set web/b1 --max-connections 0", ["max_connections"]),
        ("service set web --allow-source all", ["allow_sources"]),
        (
            "service set web --allow-source 10.0.0.0/8 --max-new-per-second 0",
            ["allow_sources", "max_new_connections_per_second"],
        ),
    ],
)
def test_update_masks(tiara: Tiara, world: World, line: str, paths: list[str]) -> None:
    """Each option is its field; the resource's name and the etag go with it."""
    tiara(f"{line} --etag e7")
    (request,) = world.requests
    assert list(request.update_mask.paths) == paths
    wanted = next(value for field, value in request.ListFields() if field.name != "update_mask")
    assert (wanted.etag, bool(wanted.name)) == ("e7", True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pool set web", "nothing to change: give at least one option"),
        ("backend set web/b1", "nothing to change"),
        ("service set web", "nothing to change"),
        ("pool set web --check-tcp 80 --no-check", "give one of --check-tcp"),
        ("pool set web --no-check --rise 3", "not for --no-check"),
        ("pool set web --slow-start 1m --no-slow-start", "exclude each other"),
        ("pool set web --check-verify", "need --check-http(s)"),
    ],
)
def test_updates_that_make_no_sense(tiara: Tiara, world: World, line: str, message: str) -> None:
    """Are usage errors, and nothing is sent."""
    result = tiara(line)
    assert (result.exit_code, world.requests) == (2, [])
    assert message in result.stderr
