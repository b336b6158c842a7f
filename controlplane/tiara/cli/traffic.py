# SPDX-License-Identifier: Apache-2.0
"""`tiara traffic`: another program, because scapy (GPL-2) stays out of this one."""

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
    short_help="Generate traffic by a script, and check what became of it.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def traffic(arguments: tuple[str, ...]) -> None:
    """Becomes `python -m tiara.traffic` with the same arguments."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "tiara.traffic", *arguments])
