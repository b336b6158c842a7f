# SPDX-License-Identifier: Apache-2.0
"""tiara history, rollback: past writes, and the way back."""

import click
from rich.text import Text

from tiara.cli import change, complete, output, values
from tiara.cli.options import Reader, Writer, reads, writes
from tiara.cli.proposal import Proposal, confirms
from tiara.v1 import configuration_pb2 as pb

_REVISION = click.IntRange(min=1)


@click.command()
@click.argument("revision", type=_REVISION, required=False, shell_complete=complete.revisions)
@click.option(
    "--resource",
    type=values.RESOURCE,
    metavar="NAME",
    help="Only writes that changed this or what is in it: backendPools/web, web/b1.",
    shell_complete=complete.resources,
)
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="0: all kept.")
@reads
def history(read: Reader, revision: int | None, resource: str | None, limit: int) -> None:
    """Show who wrote what; with REVISION, what it changed.

    The newest first.

    \b
    tiara history --resource web/b1
    tiara history 12
    """
    if revision is not None:
        if resource:
            raise click.UsageError("--resource is for the list, not for one revision")
        request = pb.GetRevisionRequest(revision=revision)
        read.show(lambda: read.session.call(read.session.configuration.GetRevision, request), _details)
        return
    read.show(lambda: _fetch(read, resource, limit), lambda answer: _table(read, answer))


@click.command()
@click.argument("revision", type=_REVISION, shell_complete=complete.revisions)
@confirms
@writes
def rollback(write: Writer, revision: int, allow_removal: bool, yes: bool) -> None:
    """Make everything as it was at REVISION.

    The plan is shown first. It is a new revision. Drains and disables stay as they are now.

    \b
    tiara history
    tiara rollback 12
    """
    source = pb.PlanConfigurationRequest(rollback_revision=revision)
    Proposal(source, f"rolled back to revision {revision}").carry_out(write, allow_removal, yes)


def _fetch(read: Reader, resource: str | None, limit: int) -> pb.ListRevisionsResponse:
    answer = read.session.pages(
        read.session.configuration.ListRevisions,
        pb.ListRevisionsRequest(resource=resource or ""),
        limit,
        lambda found: len(found.revisions),
    )
    del answer.revisions[limit or len(answer.revisions) :]
    return answer


def _table(read: Reader, answer: pb.ListRevisionsResponse) -> Text:
    titles = [">Revision", "Time", "Who", "From", "Method", "Changed"]
    if read.wide:
        titles.append("Request id")
    rows = [_cells(found) + ([found.request_id] if read.wide else []) for found in answer.revisions]
    return output.table(titles, rows)


def _cells(found: pb.Revision) -> list[output.Cell]:
    return [
        found.revision,
        values.local_moment(found.time),
        found.who or "-",
        found.peer or "-",
        found.method.rpartition("/")[2] or "-",
        change.summary(found.changes),
    ]


def _details(found: pb.Revision) -> Text:
    head = output.fields(
        [
            ("Revision", found.revision),
            ("Time", values.local_moment(found.time)),
            ("Who", found.who),
            ("From", found.peer),
            ("Method", found.method),
            ("Request id", found.request_id),
        ]
    )
    return output.stack([head, change.table(found.changes) if found.changes else None])
