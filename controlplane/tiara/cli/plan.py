# SPDX-License-Identifier: Apache-2.0
"""tiara plan, diff, apply: a whole configuration, looked at before it is applied."""

from pathlib import Path

import click

from tiara.cli import lbfile, plan_view
from tiara.cli.comparison import Comparison, Difference
from tiara.cli.lbfile import FILE
from tiara.cli.options import Reader, Writer, reads, writes
from tiara.cli.proposal import Proposal, confirms
from tiara.v1 import configuration_pb2 as pb

_file_option = click.option(
    "-f", "--file", type=FILE, required=True, metavar="FILE", help="lb.yaml, as YAML or JSON; - is stdin."
)


@click.command(cls=Comparison)
@_file_option
@reads
def plan(read: Reader, file: Path) -> None:
    """Show what applying FILE would do; nothing is changed.

    FILE is a tiara.v1.Configuration as YAML or JSON. Shown are additions (+),
    changes (~), removals (-) and replacements (-/+), the live connections that
    lose their server, and the rows of selection tables that move.

    \b
    Exit codes: 0  nothing to do
                1  the file or the command line is wrong, or refused
                2  there are changes
                3  the server cannot be reached

    \b
    tiara plan -f lb.yaml
    """
    found = _of(file).plan(read.session)
    read.show(lambda: found, plan_view.draw)
    click.get_current_context().exit(2 if found.changes else 0)


@click.command(cls=Difference)
@_file_option
@reads
def diff(read: Reader, file: Path) -> None:
    """Show how FILE differs from what is stored.

    \b
    Exit codes: 0  no difference
                1  differences
                2  the file or the command line is wrong, or refused
                3  the server cannot be reached

    \b
    tiara diff -f lb.yaml && echo as declared
    """
    found = _of(file).plan(read.session)
    bare = pb.Plan(revision=found.revision, changes=found.changes)
    for change in bare.changes:
        change.affected_connections = 0
    read.show(lambda: bare, plan_view.draw_difference)
    click.get_current_context().exit(1 if found.changes else 0)


@click.command()
@_file_option
@confirms
@writes
def apply(write: Writer, file: Path, allow_removal: bool, yes: bool) -> None:
    """Apply FILE whole or not at all, after showing the plan.

    What the file's owner declared before and no longer does is removed; what
    others made stays, and so do drains and disables by operators. The plan
    that was shown is what is applied: if anything was written meanwhile, it is
    refused.

    \b
    tiara apply -f lb.yaml
    tiara apply -f lb.yaml --yes --allow-removal
    """
    _of(file).carry_out(write, allow_removal, yes)


def _of(file: Path) -> Proposal:
    loaded = lbfile.load(file)
    source = pb.PlanConfigurationRequest(configuration=loaded.configuration)
    return Proposal(source, "configuration applied", loaded)
