# SPDX-License-Identifier: Apache-2.0
"""The gRPC API: messages in, reconciler, messages out. No other logic."""

from tiara.api.servicers import SERVER_OPTIONS, add_servicers

__all__ = ["SERVER_OPTIONS", "add_servicers"]
