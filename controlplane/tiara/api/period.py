# SPDX-License-Identifier: Apache-2.0
"""How often a stream says something."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from tiara.api.convert import duration_ms
from tiara.domain.errors import InvalidField

PERIOD_MIN_MS = 100
PERIOD_MAX_MS = 300_000


def period_ms(field: str, value: Duration) -> int:
    """0.1 s to 300 s, in milliseconds."""
    period = duration_ms(field, value)
    if not PERIOD_MIN_MS <= period <= PERIOD_MAX_MS:
        raise InvalidField(field, f"{period / 1000:g} s is not in 0.1 s to 300 s")
    return period
