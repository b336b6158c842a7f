# SPDX-License-Identifier: Apache-2.0
"""Commands that compare: their exit code says whether there is a difference."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import grpc

from tiara.cli import errors


class Comparison(click.Command):
    """Ends with ``trouble`` where others end with 1 or 2, so that it is not taken for a difference."""

    trouble = 1

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        """Reads the command line."""
        with self._troubled():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        with self._troubled():
            try:
                return super().invoke(ctx)
            except grpc.RpcError as error:
                raise errors.from_rpc(error, ctx.obj.address) from error

    @contextmanager
    def _troubled(self) -> Iterator[None]:
        try:
            yield
        except click.ClickException as error:
            if error.exit_code in (1, 2):
                error.exit_code = self.trouble  # type: ignore[misc]
            raise


class Difference(Comparison):
    """As diff does: 0 equal, 1 different, 2 trouble."""

    trouble = 2
