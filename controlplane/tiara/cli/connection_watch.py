# SPDX-License-Identifier: Apache-2.0
"""tiara connections list --watch: those that a filter fits, as they come and go."""

import grpc
from rich.text import Text

from tiara.cli import errors, output, values
from tiara.cli.options import Reader
from tiara.v1 import connection_pb2 as pb

_MARKS = (("gone", "- ", "red"), ("changed", "~ ", "yellow"), ("added", "+ ", "green"))


def follow(read: Reader, request: pb.WatchConnectionsRequest) -> None:
    """Until Ctrl-C."""
    live = 0
    try:
        for number, response in enumerate(read.session.connections.WatchConnections(request)):
            live += len(response.added) - len(response.gone)
            if not number or response.added or response.changed or response.gone:
                _print(read, response, live)
    except grpc.RpcError as error:
        raise errors.from_rpc(error, read.session.address) from error
    except KeyboardInterrupt:
        return


def _print(read: Reader, response: pb.WatchConnectionsResponse, live: int) -> None:
    if read.form == output.JSON:
        output.print_json(response, one_line=True)
    elif read.form == output.YAML_FORMAT:
        output.print_yaml(response, begin=True)
    else:
        for line in lines(response, live):
            output.print_text(line)


def lines(response: pb.WatchConnectionsResponse, live: int) -> list[Text]:
    """One for each connection, and how many there are where the pass ends."""
    found = [
        Text.assemble((mark, style), _connection(one))
        for kind, mark, style in _MARKS
        for one in getattr(response, kind)
    ]
    if response.complete:
        found.append(Text(f"= {values.count(live)} connection{'s' * (live != 1)}", "dim"))
    return found


def _connection(found: pb.Connection) -> str:
    client = f"{found.client_address}:{found.client_port}"
    backend = values.short(found.backend) or "removed"
    frontend = f"{found.address}:{found.port}"
    return f"{values.protocol(found.protocol)} {client} {frontend} {backend} {values.state(found.state)}"
