# SPDX-License-Identifier: Apache-2.0
"""Where desired state is kept: one interface, SQLite behind it by default."""

from tiara.store.base import Change, Delete, Put, Snapshot, Store
from tiara.store.sqlite import Bounds, SqliteStore

__all__ = ["Bounds", "Change", "Delete", "Put", "Snapshot", "SqliteStore", "Store"]
