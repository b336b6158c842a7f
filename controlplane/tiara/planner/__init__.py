# SPDX-License-Identifier: Apache-2.0
"""Pure planning: the same desired and observed state give the same bytes, on every node."""

from tiara.planner.plan import PoolInput, PoolPlan, Seen, plan_backend, plan_pool, plan_service, shares
from tiara.planner.policy import PLAIN, Fills, RowMaker, row_maker
from tiara.planner.ramp import RAMP_WHOLE, ramp_at, ramp_since
from tiara.planner.sources import source_ranges

__all__ = [
    "PLAIN",
    "RAMP_WHOLE",
    "Fills",
    "PoolInput",
    "PoolPlan",
    "RowMaker",
    "Seen",
    "plan_backend",
    "plan_pool",
    "plan_service",
    "ramp_at",
    "ramp_since",
    "row_maker",
    "shares",
    "source_ranges",
]
