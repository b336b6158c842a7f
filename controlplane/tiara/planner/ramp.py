# SPDX-License-Identifier: Apache-2.0
"""The declared ramp of a slow start: tenths of a backend's weight, by the time since it began."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

RAMP_WHOLE = 10
"""Tenths of the whole weight; also how many generations a ramp has."""


def ramp_at(elapsed_ms: int, duration_ms: int) -> int:
    """Tenths, 1 to 10: one at first, one more after each ninth of the duration. 0 ms: no ramp."""
    if elapsed_ms >= duration_ms:
        return RAMP_WHOLE
    return 1 + max(elapsed_ms, 0) * (RAMP_WHOLE - 1) // duration_ms


def ramp_since(ramp: int, duration_ms: int) -> int:
    """How long ago a ramp that counts so many tenths began at the latest, in ms."""
    return -(-(ramp - 1) * duration_ms // (RAMP_WHOLE - 1))


def ramped(weights: Sequence[int], ramps: Sequence[int]) -> list[int]:
    """Weights that count. Made small, so that pools that ramp alike have one table."""
    counting = [weight * ramp for weight, ramp in zip(weights, ramps, strict=True)]
    return [weight // gcd(*counting) for weight in counting]
