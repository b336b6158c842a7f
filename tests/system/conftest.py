# SPDX-License-Identifier: Apache-2.0
"""System tests run real servers and clients in network namespaces: they need root."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def _root() -> None:
    if os.geteuid() != 0:
        pytest.fail("system tests need root for their network namespaces")
