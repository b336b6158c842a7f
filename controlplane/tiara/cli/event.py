# SPDX-License-Identifier: Apache-2.0
"""tiara events: what happened by itself."""

from time import sleep

import click
import grpc
from rich.text import Text

from tiara.cli import complete, errors, output, values
from tiara.cli.options import WATCH_INTERVAL_S, Reader, reads
from tiara.v1 import configuration_pb2 as pb

_PREFIX = "EVENT_KIND_"
KINDS = {
    name.removeprefix(_PREFIX).lower().replace("_", "-"): value
    for name, value in pb.EventKind.items()
    if value
}
_KIND_TEXT = {value: text for text, value in KINDS.items()}
_STYLE = {
    pb.EVENT_KIND_BACKEND_UP: "green",
    pb.EVENT_KIND_BACKEND_DOWN: "red",
    pb.EVENT_KIND_PUBLISH_DELAYED: "yellow",
    pb.EVENT_KIND_TABLE_FILL: "yellow",
}
_KIND_WIDTH = max(map(len, KINDS))


@click.command()
@click.option("--follow", is_flag=True, help="Go on with new ones until Ctrl-C.")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Only this kind.")
@click.option(
    "--resource",
    type=values.RESOURCE,
    metavar="NAME",
    help="Only of this or what is in it: backendPools/web, web/b1.",
    shell_complete=complete.resources,
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many."
)
@reads
def events(read: Reader, follow: bool, kind: str | None, resource: str | None, limit: int) -> None:
    """Show what happened by itself, the newest last.

    Backends that went up or down, drains that ended, a table that fills,
    changes that wait for a worker, starts and stops of the data plane.

    \b
    tiara events --kind backend-down
    tiara events --follow
    """
    request = pb.ListEventsRequest(
        kind=KINDS[kind] if kind else pb.EVENT_KIND_UNSPECIFIED, resource=resource or ""
    )
    if not follow:
        read.show(lambda: _newest(read, request, limit), _table)
        return
    try:
        _follow(read, request, limit)
    except KeyboardInterrupt:
        return


def _newest(read: Reader, request: pb.ListEventsRequest, limit: int) -> pb.ListEventsResponse:
    """The newest last."""
    asked = pb.ListEventsRequest()
    asked.CopyFrom(request)
    answer = read.session.pages(
        read.session.configuration.ListEvents, asked, limit, lambda found: len(found.events)
    )
    return pb.ListEventsResponse(events=reversed(answer.events[:limit]))


def _table(answer: pb.ListEventsResponse) -> Text:
    return output.table(["Time", "Kind", "Resource", "Message"], [_cells(found) for found in answer.events])


def _cells(found: pb.Event) -> list[output.Cell]:
    return [values.local_moment(found.time), kind_text(found), _resource(found), found.message]


def kind_text(found: pb.Event) -> Text:
    """As backend-down."""
    return Text(_KIND_TEXT.get(found.kind, "-"), _STYLE.get(found.kind, ""))


def _resource(found: pb.Event) -> str:
    return values.titled(found.resource) if found.resource else "-"


def _follow(read: Reader, request: pb.ListEventsRequest, limit: int) -> None:
    """Prints each once; a server that went away is waited for once it has answered."""
    seen = _print_after(read, _newest(read, request, limit), 0)
    while True:
        sleep(WATCH_INTERVAL_S)
        try:
            seen = _print_after(read, _since(read, request, seen), seen)
        except grpc.RpcError as error:
            known = errors.from_rpc(error, read.session.address)
            if not isinstance(known, errors.Unreachable):
                raise known from error


def _since(read: Reader, request: pb.ListEventsRequest, seen: int) -> pb.ListEventsResponse:
    """Pages back to the last one seen, the newest last."""
    asked = pb.ListEventsRequest()
    asked.CopyFrom(request)
    found: list[pb.Event] = []
    while True:
        answer = read.session.call(read.session.configuration.ListEvents, asked)
        new = [event for event in answer.events if event.number > seen]
        found += new
        if len(new) < len(answer.events) or not answer.next_page_token:
            return pb.ListEventsResponse(events=reversed(found))
        asked.page_token = answer.next_page_token


def _print_after(read: Reader, answer: pb.ListEventsResponse, seen: int) -> int:
    for found in answer.events:
        _print(read, found)
        seen = max(seen, found.number)
    return seen


def _print(read: Reader, found: pb.Event) -> None:
    if read.form == output.JSON:
        output.print_json(found, one_line=True)
    elif read.form == output.YAML_FORMAT:
        output.print_yaml(found, begin=True)
    else:
        kind = kind_text(found)
        kind.pad_right(_KIND_WIDTH - len(kind))
        words = [Text(values.local_moment(found.time)), kind, Text(_resource(found)), Text(found.message)]
        output.print_text(Text(output.GAP).join(words))
