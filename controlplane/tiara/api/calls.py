# SPDX-License-Identifier: Apache-2.0
"""What every write carries: request id, digest, validate_only."""

from __future__ import annotations

import hashlib
from typing import Any

from tiara.domain.call import Call


def call_of(method: str, request: Any) -> Call:
    """``method`` as "BackendPoolService/CreateBackend"."""
    digest = hashlib.blake2b(request.SerializeToString(deterministic=True), digest_size=16).hexdigest()
    return Call(method, request.request_id, digest, getattr(request, "validate_only", False))
