# SPDX-License-Identifier: Apache-2.0
"""Which changes are so large that they must be allowed by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from tiara.domain.history import Difference
from tiara.domain.model import Backend, VirtualService
from tiara.domain.names import pool_name


def is_replaced(difference: Difference) -> bool:
    """Whether the name goes to another resource: the old one's connections lose it."""
    before, after = difference.before, difference.after
    return before is not None and after is not None and before.uid != after.uid


def removal_reasons(differences: Iterable[Difference], backend_cnt: Callable[[str], int]) -> list[str]:
    """Sentences on services that go and pools that lose more than half of their backends.

    ``backend_cnt(pool)``: how many it has now. In order of name.
    """
    services: list[str] = []
    lost: Counter[str] = Counter()
    for one in differences:
        gone = one.after is None or is_replaced(one)
        if isinstance(one.before, VirtualService) and gone:
            services.append(f"{one.name} would be removed")
        elif isinstance(one.before, Backend) and gone:
            lost[one.before.pool] += 1
    return services + [
        f"{pool_name(pool)} would lose {cnt} of its {backend_cnt(pool)} backends"
        for pool, cnt in sorted(lost.items())
        if 2 * cnt > backend_cnt(pool)
    ]
