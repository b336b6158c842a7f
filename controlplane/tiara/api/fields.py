# SPDX-License-Identifier: Apache-2.0
"""Paths of fields in errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tiara.domain.errors import InvalidField


@contextmanager
def under(prefix: str) -> Iterator[None]:
    """An ``InvalidField`` from the block gets ``prefix`` before its path."""
    try:
        yield
    except InvalidField as error:
        raise error.under(prefix) from None
