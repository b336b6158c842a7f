# SPDX-License-Identifier: Apache-2.0
"""From prefixes to the address ranges that the data plane searches."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from tiara.domain.dataplane import SourceRanges


def source_ranges(prefixes: Iterable[str]) -> SourceRanges:
    """The ranges of all addresses that some prefix holds.

    The prefixes only allow: the longest that holds an address says what any other would.
    """
    networks = sorted(ipaddress.IPv4Network(prefix) for prefix in prefixes)
    merged: list[tuple[int, int]] = []
    for network in networks:
        first, last = int(network.network_address), int(network.broadcast_address)
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)
