# SPDX-License-Identifier: Apache-2.0
"""The tables of the SQLite store, and the way from each older version to the next."""

from __future__ import annotations

import sqlite3

_RESOURCES = """
CREATE TABLE resource (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('revision', 0);
"""

# ``history.start`` counts the bytes of all bodies written before this revision, ever: the size of any
# run of revisions is one subtraction.
_HISTORY = """
CREATE TABLE history (
    revision INTEGER PRIMARY KEY, start INTEGER NOT NULL, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
    peer TEXT NOT NULL, method TEXT NOT NULL, request_id TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE INDEX history_request ON history (request_id) WHERE request_id != '';
CREATE TABLE difference (
    revision INTEGER NOT NULL, name TEXT NOT NULL, before_revision INTEGER NOT NULL,
    before TEXT, after TEXT, PRIMARY KEY (revision, name)
) WITHOUT ROWID;
CREATE INDEX difference_name ON difference (name, revision);
CREATE TABLE event (
    number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, resource TEXT NOT NULL,
    message TEXT NOT NULL
);
INSERT INTO meta VALUES ('history_bytes', 0);
"""

_STEPS = (_RESOURCES, _HISTORY)
"""Step i leads from version i to version i + 1."""

SCHEMA_VERSION = len(_STEPS)


def version_of(db: sqlite3.Connection) -> int:
    """0: an empty file."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def upgrade(db: sqlite3.Connection) -> None:
    """Brings an older file to ``SCHEMA_VERSION`` in one transaction; what it holds stays."""
    steps = "".join(_STEPS[version_of(db) :])
    if steps:
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
