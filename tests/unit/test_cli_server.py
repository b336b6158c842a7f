# SPDX-License-Identifier: Apache-2.0
"""`tiara` and the control plane's own words: what the one says, the other shows."""

from pathlib import Path

import pytest
from cli_fake import CODE, serving
from click.testing import CliRunner
from tiara.api.errors import status_of
from tiara.cli.main import cli
from tiara.domain import errors as domain_errors


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
