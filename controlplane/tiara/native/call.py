# SPDX-License-Identifier: Apache-2.0
"""How libtiara's functions are called: the last argument is the error, which becomes an exception."""

from __future__ import annotations

from typing import Any

from tiara.domain.layout import Status
from tiara.native import convert
from tiara.native._libtiara import ffi, lib


def call(function: Any, *arguments: Any) -> Status:
    """OK or UNCHANGED; everything else is a ``NativeError``."""
    error = ffi.new("struct tiara_error *")
    status = function(*arguments, error)
    if status not in (lib.TIARA_OK, lib.TIARA_UNCHANGED):
        raise convert.raised(status, error)
    return Status(status)
