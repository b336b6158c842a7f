# SPDX-License-Identifier: Apache-2.0
"""All checks, in the order in which one thing needs another. Pure: facts in, findings out."""

from __future__ import annotations

from tiara.doctor import balancer, machine
from tiara.doctor.facts import Facts
from tiara.doctor.finding import Finding

CHECKS = (
    *(machine.hugepages, machine.privileges, machine.port, machine.clock, machine.store, machine.layout),
    *(balancer.controlplane, balancer.dataplane, balancer.versions),
    *(balancer.mtu, balancer.rp_filter, balancer.route, balancer.neighbours, balancer.backends),
)


def examine(facts: Facts) -> list[Finding]:
    """Every check's word."""
    return [finding for check in CHECKS for finding in check(facts)]
