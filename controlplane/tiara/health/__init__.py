# SPDX-License-Identifier: Apache-2.0
"""Health checks: what is seen of backends, apart from what is wanted."""

from tiara.health.judge import Judge
from tiara.health.monitor import Monitor, Target

__all__ = ["Judge", "Monitor", "Target"]
