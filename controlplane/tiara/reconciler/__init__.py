# SPDX-License-Identifier: Apache-2.0
"""Joins store, planner and native: what the API calls, and the only importer of native."""

from tiara.reconciler.configuration import Configuration
from tiara.reconciler.push import PushBackend, PushService, PushSession
from tiara.reconciler.reconciler import Reconciler
from tiara.reconciler.standing import Standing

__all__ = ["Configuration", "PushBackend", "PushService", "PushSession", "Reconciler", "Standing"]
