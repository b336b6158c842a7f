# SPDX-License-Identifier: Apache-2.0
"""A configuration that is planned, shown, agreed to and applied: of a file, or of a past revision."""

import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import grpc
from google.protobuf.message import Message

from tiara.cli import change, errors, output, plan_view
from tiara.cli.lbfile import LbFile
from tiara.cli.options import Command, Writer, spinner
from tiara.cli.session import Session
from tiara.v1 import configuration_pb2 as pb

TIMEOUT_S = 120.0
"""For planning and applying: large tables are scanned."""

Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True)
class Proposal:
    """``source`` is the plan's request; ``done`` says what was done once it is; ``file`` may be none."""

    source: pb.PlanConfigurationRequest
    done: str
    file: LbFile | None = None

    def plan(self, session: Session) -> pb.Plan:
        """Asks what it would do.

        Raises:
            BadFile: the server refuses fields of the file; they are named with their lines.
        """
        return self._call(session, session.configuration.PlanConfiguration, self.source)

    def carry_out(self, write: Writer, allow_removal: bool, yes: bool) -> None:
        """Shows the plan, asks, and applies it at the plan's revision."""
        plan = self.plan(write.session)
        if write.for_people:
            output.print_text(plan_view.draw(plan))
        if not plan.changes:
            write.nothing(pb.ApplyConfigurationResponse(revision=plan.revision))
            return
        if plan.removal_reasons and not allow_removal:
            raise _not_allowed(() if write.for_people else plan.removal_reasons)
        _need_agreement(plan, yes)
        applied = self._apply(write.session, plan.revision, allow_removal)
        write.done(f"{self.done}: {change.totals(applied.changes)}", applied)

    def _apply(self, session: Session, revision: int, allow_removal: bool) -> pb.ApplyConfigurationResponse:
        request = pb.ApplyConfigurationRequest(
            whole=self.source.whole,
            plan_revision=revision,
            allow_removal=allow_removal,
            request_id=str(uuid.uuid4()),
        )
        if self.source.WhichOneof("source") == "configuration":
            request.configuration.CopyFrom(self.source.configuration)
        else:
            request.rollback_revision = self.source.rollback_revision
        return self._call(session, session.configuration.ApplyConfiguration, request)

    def _call(self, session: Session, method: Callable[..., Answer], request: Message) -> Answer:
        try:
            with spinner("planning"):
                return method(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            refusal = self.file.refused(errors.violations(error)) if self.file else None
            if refusal is None:
                raise
            raise refusal from error


def _not_allowed(reasons: Iterable[str]) -> errors.Declined:
    return errors.Declined("\n  ".join(["nothing was changed: this needs --allow-removal", *reasons]))


def _need_agreement(plan: pb.Plan, yes: bool) -> None:
    if yes:
        return
    if not on_terminal():
        raise click.UsageError("nobody is there to ask: give --yes to apply without being asked")
    if not click.confirm(f"apply this ({change.totals(plan.changes)})?", err=True):
        raise errors.Declined("nothing was changed")


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def confirms(function: Command) -> Command:
    """Adds --allow-removal and --yes."""
    options: list[Any] = [
        click.option(
            "--allow-removal",
            is_flag=True,
            help="Allow the removal of services and of more than half of a pool's backends.",
        ),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    ]
    for option in options:
        function = option(function)
    return function
