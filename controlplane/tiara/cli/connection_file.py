# SPDX-License-Identifier: Apache-2.0
"""tiara connections dump and load: the whole table to a file and back."""

import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import click
import grpc
from rich.console import Console
from rich.progress import Progress

from tiara import packed
from tiara.cli import errors, values
from tiara.cli import service as service_command
from tiara.cli.session import Session
from tiara.v1 import backend_pool_pb2, virtual_service_pb2
from tiara.v1 import connection_pb2 as pb

PATIENCE_S = 2.0
"""What takes longer shows a bar, on a terminal."""

REASONS_SHOWN = 10

_CONFLICT = {"keep": pb.ON_CONFLICT_KEEP, "replace": pb.ON_CONFLICT_REPLACE}
_REFUSED = {
    pb.PUSH_REFUSAL_REASON_FULL: "there was no room in the table",
    pb.PUSH_REFUSAL_REASON_CONFLICT: "there with another backend (--on-conflict replace)",
}

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@_json_option
@click.pass_obj
def dump(session: Session, file: Path, as_json: bool) -> None:
    """Write all connections of the table to FILE (- is stdout).

    Nothing is stopped meanwhile. What is in the table all the time is in the file; a connection may be
    there twice, which load takes as one. The summary goes to stderr where FILE is -.

    \b
    tiara connections dump /var/tmp/connections
    """
    with _output(file) as out, _bar("dumping") as bar:
        writer = packed.Writer(out)
        trailer = _write(session, writer, bar)
    summary = {
        "file": str(file),
        "records": trailer.records,
        "bytes": writer.bytes,
        "passes": trailer.passes,
        "complete": trailer.complete,
    }
    sentence = f"{values.count(trailer.records)} connections dumped to {file}"
    _report(json.dumps(summary) if as_json else sentence, err=str(file) == "-")
    if not trailer.complete:
        raise errors.Refused(f"the dump is not complete: {trailer.problem}")


def _write(session: Session, writer: packed.Writer, bar: "_Bar") -> pb.PackedTrailer:
    for answer in session.connections.DumpConnections(pb.DumpConnectionsRequest(format=packed.FORMAT)):
        bar.show(answer.progress)
        match answer.WhichOneof("message"):
            case "header":
                writer.header(answer.header)
            case "chunk":
                writer.chunk(answer.chunk)
            case "trailer":
                writer.end(answer.trailer)
                return answer.trailer
    raise errors.Unreachable("the control plane ended the stream before its end; nothing was written")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--on-conflict",
    type=click.Choice(list(_CONFLICT)),
    default="keep",
    show_default=True,
    help="What happens to a connection that is there with another backend.",
)
@_json_option
@click.pass_obj
def load(session: Session, file: Path, on_conflict: str, as_json: bool) -> None:
    """Put connections from FILE (- is stdin), which dump wrote, into the table.

    Services and backends are found by name. Connections of those that are not there, or that would have
    expired, are left out and named; all others are loaded. The file is checked first: of one that is
    truncated or damaged nothing is loaded.

    \b
    tiara connections load /var/tmp/connections
    """
    with _input(file) as source, _bar("loading") as bar:
        trailer = _check(file, source)
        loaded = _load(session, source, trailer, _CONFLICT[on_conflict], bar)
    _report(json.dumps(_summary(file, loaded)) if as_json else _sentence(file, loaded))
    _refuse_if_any(loaded)


@dataclass
class _Loaded:
    """What became of a file's records."""

    records: int
    complete: bool
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def _check(file: Path, source: BinaryIO) -> pb.PackedTrailer:
    """Reads all of it once."""
    try:
        *_, trailer = packed.read(source)
    except packed.BadFile as error:
        raise click.UsageError(f"{file} {error}; nothing was loaded") from error
    source.seek(0)
    assert isinstance(trailer, pb.PackedTrailer)
    return trailer


def _load(
    session: Session,
    source: BinaryIO,
    trailer: pb.PackedTrailer,
    on_conflict: "pb.OnConflict.ValueType",
    bar: "_Bar",
) -> _Loaded:
    blocks = packed.read(source)
    header = next(blocks)
    assert isinstance(header, pb.PackedHeader)
    mapper = _mapper(session, header)
    loaded = _Loaded(trailer.records, trailer.complete, left_out=mapper.left_out)
    chunks = _kept(mapper, blocks, trailer, bar)
    push = mapper.header(on_conflict)
    if push is None:
        for _ in chunks:
            raise AssertionError("a record has a place, and its header has none")
        return loaded
    try:
        for answer in session.connections.PushConnections(_requests(push, chunks)):
            loaded.accepted += answer.accepted
            loaded.refused.update(_REFUSED.get(r.reason, "for an unknown reason") for r in answer.refusals)
    except grpc.RpcError as error:
        refusal = errors.from_rpc(error, session.address)
        before = f"{values.count(loaded.accepted)} connections were loaded before that"
        raise type(refusal)(f"{refusal.message}\n  {before}") from error
    return loaded


def _kept(
    mapper: packed.Mapper, blocks: Iterable[Any], trailer: pb.PackedTrailer, bar: "_Bar"
) -> Iterator[bytes]:
    for block in blocks:
        if isinstance(block, pb.PackedChunk):
            bar.show(block.sequence / trailer.chunks)
            if kept := mapper.keep(block.records):
                yield kept


def _requests(header: pb.PackedHeader, chunks: Iterable[bytes]) -> Iterator[pb.PushConnectionsRequest]:
    yield pb.PushConnectionsRequest(header=header)
    for sequence, records in enumerate(chunks, 1):
        yield pb.PushConnectionsRequest(chunk=pb.PackedChunk(sequence=sequence, records=records))


# ---- names


def _mapper(session: Session, header: pb.PackedHeader) -> packed.Mapper:
    services = {found.name: found for found in service_command.fetch_all(session).virtual_services}
    pools = {found.backend_pool for found in services.values()}
    pools |= {entry.backend.rpartition("/backends/")[0] for entry in header.backends}
    there = {name for pool in sorted(pools) for name in _backends(session, pool)}
    return packed.Mapper(
        [_target(entry, services.get(entry.virtual_service)) for entry in header.services],
        [
            pb.PackedBackend(backend=entry.backend)
            if entry.backend in there
            else f"{entry.backend} is not there"
            for entry in header.backends
        ],
    )


def _backends(session: Session, pool: str) -> Iterator[str]:
    """Names; none where there is no such pool."""
    request = backend_pool_pb2.ListBackendsRequest(parent=pool)
    try:
        answer = session.pages(session.pools.ListBackends, request)
    except grpc.RpcError as error:
        if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.NOT_FOUND:
            return
        raise
    yield from (backend.name for backend in answer.backends)


def _target(entry: pb.PackedService, found: virtual_service_pb2.VirtualService | None) -> packed.Target | str:
    if found is None:
        return f"{entry.virtual_service} is not there"
    if entry.frontend not in found.frontends:
        return f"{entry.virtual_service} has no frontend {values.frontend(entry.frontend)}"
    wanted = pb.PackedService(virtual_service=entry.virtual_service, frontend=entry.frontend)
    return packed.Target(wanted, found.backend_pool, _timeouts(found.timeouts))


def _timeouts(times: virtual_service_pb2.Timeouts) -> packed.Timeouts:
    """By a record's state byte; unset ones are what the API says."""
    named = {2: ("tcp_new", 60), 3: ("tcp_established", 1800), 4: ("tcp_closing", 60), 5: ("udp", 120)}
    return {
        state: getattr(times, name).seconds if times.HasField(name) else default  # type: ignore[arg-type]
        for state, (name, default) in named.items()
    }


# ---- files, bar, summary


@contextmanager
def _output(file: Path) -> Iterator[BinaryIO]:
    """A file appears under its name when it is whole."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(file)
    except OSError as error:
        raise click.UsageError(f"{part} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _input(file: Path) -> Iterator[BinaryIO]:
    """Can be read twice: what comes by stdin is put into a file first."""
    if str(file) != "-":
        with file.open("rb") as source:
            yield source
        return
    with tempfile.TemporaryFile() as source:
        shutil.copyfileobj(sys.stdin.buffer, source)
        source.seek(0)
        yield source


class _Bar:
    """Appears on a terminal's stderr after ``PATIENCE_S``."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = monotonic()
        self._progress: Progress | None = None

    def show(self, done: float) -> None:
        """From 0 to 1."""
        console = Console(stderr=True)
        if self._progress is None:
            if monotonic() - self._began < PATIENCE_S or not console.is_terminal:
                return
            self._progress = Progress(console=console, transient=True)
            self._progress.add_task(self._what, total=1)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=done)

    def close(self) -> None:
        """Takes it off the screen."""
        if self._progress is not None:
            self._progress.stop()


@contextmanager
def _bar(what: str) -> Iterator[_Bar]:
    bar = _Bar(what)
    try:
        yield bar
    finally:
        bar.close()


def _report(text: str, *, err: bool = False) -> None:
    click.echo(text, err=err)


def _summary(file: Path, loaded: _Loaded) -> dict[str, object]:
    return {
        "file": str(file),
        "records": loaded.records,
        "accepted": loaded.accepted,
        "refused": dict(sorted(loaded.refused.items())),
        "leftOut": dict(sorted(loaded.left_out.items())),
        "complete": loaded.complete,
    }


def _sentence(file: Path, loaded: _Loaded) -> str:
    return f"{values.count(loaded.accepted)} of {values.count(loaded.records)} connections loaded from {file}"


def _refuse_if_any(loaded: _Loaded) -> None:
    lines = [f"{values.count(n)} left out: {why}" for why, n in sorted(loaded.left_out.items())]
    lines += [f"{values.count(n)} not taken: {why}" for why, n in sorted(loaded.refused.items())]
    if len(lines) > REASONS_SHOWN:
        lines[REASONS_SHOWN:] = [f"and {len(lines) - REASONS_SHOWN} more reasons: --json has all"]
    if not loaded.complete:
        lines.append("the dump itself was not complete: connections are missing from it")
    if lines:
        raise errors.Refused("\n  ".join(["not all connections were loaded", *lines]))
