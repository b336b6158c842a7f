# SPDX-License-Identifier: Apache-2.0
"""What libtiara refuses, as one exception."""

from __future__ import annotations

from tiara.domain.layout import Status


class NativeError(Exception):
    """``status`` says what kind, ``field`` what it is about (may be empty), ``message`` why."""

    def __init__(self, status: Status, field: str, message: str) -> None:
        super().__init__(message or status.label)
        self.status = status
        self.field = field
        self.message = message
