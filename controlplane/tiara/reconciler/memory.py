# SPDX-License-Identifier: Apache-2.0
"""Keeps Python's collector away from resources: they hold no cycles, and there may be 100,000 of them."""

from __future__ import annotations

import gc

LARGE = 1000
"""Resources that come at once and are then left alone."""


def leave_alone(resources: int) -> None:
    """After so many have come: what is there now is never looked through again.

    A full collection over 100,000 backends stops every call for 0.3 s. References still free what is
    replaced.
    """
    if resources >= LARGE:
        gc.collect()
        gc.freeze()
