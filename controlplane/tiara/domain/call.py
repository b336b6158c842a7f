# SPDX-License-Identifier: Apache-2.0
"""What a client says about a write beside what it writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """``method`` as "BackendPoolService/CreateBackend".

    A call with a ``request_id`` is done once: repeated with the same ``digest`` of its request it gets
    the first one's answer. ``validate_only``: everything is checked, nothing stored.
    """

    method: str = ""
    request_id: str = ""
    digest: str = ""
    validate_only: bool = False
