# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, as one or two lines on stderr and an exit code."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tiara.cli.tls_errors import tls_remedy
from tiara.client import is_socket
from tiara.domain.names import read_socket

EXIT_CODES = """\
Exit codes:
  0  done
  1  refused by the server: invalid, not found, exists, in use, stale
  2  usage: the command line is wrong; nothing was sent
  3  the server cannot be reached or cannot answer now
  4  stored, but not applied to packets in time"""


class CliError(click.ClickException):
    """Ends the program with a message and an exit code."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the message to stderr."""
        click.echo(f"tiara: {self.message}", err=True, file=file)


class Declined(CliError):
    """The user said no, or was not there to say yes; nothing was changed."""

    exit_code = 1


class Refused(CliError):
    """The server said no."""

    exit_code = 1


class Unreachable(CliError):
    """The server cannot be reached or did not answer."""

    exit_code = 3


class NotApplied(CliError):
    """A write is stored, but packets do not see it yet."""

    exit_code = 4


def from_rpc(error: grpc.RpcError, address: str) -> CliError:
    """The error to end with after a failed call to the server at this address."""
    if not isinstance(error, grpc.Call):
        return Unreachable(str(error))
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unreachable(f"the control plane at {address} did not answer in time")
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return _unavailable(error, address)
    return Refused("\n  ".join(_lines(error)))


def _unavailable(error: grpc.Call, address: str) -> Unreachable:
    reason = _unreachable_reason(address)
    if not reason:
        return Unreachable(_no_answer(error.details() or "", address))
    return Unreachable(
        f"no control plane at {address}: {reason}\n"
        f"  Start one: tiara-controlplane{_instance_argument(address)}"
        "   Another address: --server, --instance, TIARA_SERVER"
    )


def _no_answer(details: str, address: str) -> str:
    """Something listens there, but no call gets through."""
    remedy = None if is_socket(address) else tls_remedy(details)
    if remedy:
        return f"the control plane at {address} is not reached: {remedy}"
    return f"the control plane at {address} cannot answer now: {details}"


def _instance_argument(address: str) -> str:
    parts = Path(address.removeprefix("unix:")).parts
    if parts[:3] == ("/", "run", "tiara") and len(parts) == 5 and parts[3] != "default":
        return f" --instance {parts[3]}"
    return ""


def _unreachable_reason(address: str) -> str:
    """Why nothing answers here; empty: something listens."""
    try:
        _connect_once(address)
    except FileNotFoundError:
        return "there is no such socket"
    except ConnectionRefusedError:
        return "nobody listens there"
    except PermissionError:
        return f"permission denied for user {os.geteuid()}{_read_only_hint(address)}"
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _read_only_hint(address: str) -> str:
    other = read_socket(address.removeprefix("unix:"))
    return f"; to read only: --server unix:{other}" if Path(other).is_socket() else ""


def _connect_once(address: str) -> None:
    if is_socket(address):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(address.removeprefix("unix:"))
        return
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()


def _lines(error: grpc.Call) -> Iterator[str]:
    """The server's message, then what its details add to it."""
    message = error.details() or error.code().name.lower().replace("_", " ")
    yield message
    for detail in _details(error):
        for subject, text in _said(detail):
            if text not in message:
                yield f"{subject}: {text}" if subject else text


def violations(error: grpc.RpcError) -> list[tuple[str, str]]:
    """What the server names as wrong: a field's path or a resource's name, and its description."""
    if not isinstance(error, grpc.Call):
        return []
    return [said for detail in _details(error) for said in _said(detail) if said[0]]


def _details(error: grpc.Call) -> list[Any]:
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return []
    return list(status.details) if status is not None else []


def _said(detail: Any) -> Iterator[tuple[str, str]]:
    """What a google.rpc detail says, and about what; nothing where it is of another kind."""
    bad = error_details_pb2.BadRequest()
    if detail.Unpack(bad):
        yield from ((violation.field, violation.description) for violation in bad.field_violations)
    failure = error_details_pb2.PreconditionFailure()
    if detail.Unpack(failure):
        yield from ((violation.subject, violation.description) for violation in failure.violations)
    remedies = error_details_pb2.Help()
    if detail.Unpack(remedies):
        yield from (("", link.description) for link in remedies.links)
    info = error_details_pb2.ErrorInfo()
    if detail.Unpack(info) and "remedy" in info.metadata:
        yield "", info.metadata["remedy"]
