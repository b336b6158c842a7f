# SPDX-License-Identifier: Apache-2.0
"""Page sizes and page tokens."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from tiara.domain.errors import InvalidField

PAGE_MAX = 1000
PAGE_DEFAULT = 100


def page_size(size: int) -> int:
    """0 means 100; more than 1000 means 1000."""
    return min(size, PAGE_MAX) or PAGE_DEFAULT


@dataclass(frozen=True, slots=True)
class Token:
    """Where the next page starts. ``kind`` says of what list: a token of another list is refused."""

    kind: str
    after: str

    def text(self) -> str:
        """Opaque to clients."""
        return base64.urlsafe_b64encode(json.dumps([self.kind, self.after]).encode()).decode()


def after(kind: str, token: str) -> str:
    """What a token of this list says; "" at the start."""
    if not token:
        return ""
    try:
        found, position = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        found, position = "", ""
    if found != kind or not isinstance(position, str) or not position:
        raise InvalidField("page_token", "is none of this list, with this parent and these filters")
    return position
