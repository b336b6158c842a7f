# SPDX-License-Identifier: Apache-2.0
"""libtiara through cffi, in API mode: the only package that imports cffi's output."""

from tiara.native.errors import NativeError
from tiara.native.segment import (
    Change,
    Segment,
    layout_id,
    locate,
    maglev_fill,
    rendezvous_fill,
    round_robin_fill,
    select_row,
)

__all__ = [
    "Change",
    "NativeError",
    "Segment",
    "layout_id",
    "locate",
    "maglev_fill",
    "rendezvous_fill",
    "round_robin_fill",
    "select_row",
]
