# SPDX-License-Identifier: Apache-2.0
"""tiara export, backup, restore: what is stored, as a file and back."""

from pathlib import Path

import click

from tiara.cli import complete, lbfile, values
from tiara.cli.lbfile import FILE
from tiara.cli.options import Writer, writes
from tiara.cli.proposal import TIMEOUT_S, Proposal, confirms
from tiara.cli.session import Session
from tiara.v1 import configuration_pb2 as pb


@click.command()
@click.option("--owner", default="", help="Only what this owner declared.", shell_complete=complete.owners)
@click.pass_obj
def export(session: Session, owner: str) -> None:
    """Print what is stored as a file for plan and apply.

    Left out is what the server sets (uids, etags, revisions, health), and who
    declared each resource, drains and disables: backup keeps those.

    \b
    tiara export --owner shop > lb.yaml
    tiara plan -f lb.yaml
    """
    found = _fetch(session, owner).configuration
    owners = lbfile.owners(found)
    if len(owners) == 1:
        found.owner = owners[0]
    header = [] if found.owner else [_no_owner(owners)]
    click.echo(lbfile.dump(lbfile.wishes(found, whole=False), header), nl=False)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.pass_obj
def backup(session: Session, file: Path) -> None:
    """Write all that is stored to FILE, for restore.

    FILE may be - for stdout. With owners, drains and disables; without connections (tiara connections
    dump) and history.

    \b
    tiara backup /var/backups/tiara.yaml
    """
    found = _fetch(session, "")
    header = [
        f"tiara backup of revision {found.revision}, {values.now():%Y-%m-%dT%H:%M:%SZ}",
        "Back with: tiara restore FILE",
    ]
    text = lbfile.dump(lbfile.wishes(found.configuration, whole=True), header)
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    _write(file, text)
    click.echo(f"revision {found.revision} backed up to {file}: {_counts(found.configuration)}")


@click.command()
@click.argument("file", type=FILE)
@confirms
@writes
def restore(write: Writer, file: Path, allow_removal: bool, yes: bool) -> None:
    """Make everything as it is in FILE, which backup wrote.

    The plan is shown first. What is not in the file goes, whoever made it; owners, drains and disables
    become those of the file.

    \b
    tiara restore /var/backups/tiara.yaml
    """
    loaded = lbfile.load(file)
    source = pb.PlanConfigurationRequest(configuration=loaded.configuration, whole=True)
    Proposal(source, f"{loaded.name} restored", loaded).carry_out(write, allow_removal, yes)


def _fetch(session: Session, owner: str) -> pb.ExportConfigurationResponse:
    request = pb.ExportConfigurationRequest(owner=owner)
    return session.call(session.configuration.ExportConfiguration, request, TIMEOUT_S)


def _no_owner(owners: list[str]) -> str:
    if owners:
        return f"of several owners, to be applied one by one: --owner {' or '.join(owners)}"
    return 'nobody declared these: set "owner" to an id of yours to do so by apply'


def _write(file: Path, text: str) -> None:
    """A file appears under its name when it is whole."""
    part = file.with_name(file.name + ".part")
    try:
        part.write_text(text)
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise click.UsageError(f"{file} cannot be written: {error.strerror}") from error


def _counts(configuration: pb.Configuration) -> str:
    counted = (
        ("pools", len(configuration.backend_pools)),
        ("backends", len(configuration.backends)),
        ("services", len(configuration.virtual_services)),
    )
    return ", ".join(f"{what} {values.count(number)}" for what, number in counted)
