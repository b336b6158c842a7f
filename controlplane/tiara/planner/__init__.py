# SPDX-License-Identifier: Apache-2.0
"""Pure planning: the same desired and observed state give the same bytes, on every node."""

from tiara.planner.maglev import Fill, fill_plain
from tiara.planner.plan import PoolInput, PoolPlan, Seen, plan_backend, plan_pool, plan_service, shares
from tiara.planner.sources import source_ranges

__all__ = [
    "Fill",
    "PoolInput",
    "PoolPlan",
    "Seen",
    "fill_plain",
    "plan_backend",
    "plan_pool",
    "plan_service",
    "shares",
    "source_ranges",
]
