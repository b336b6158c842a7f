# SPDX-License-Identifier: Apache-2.0
"""The gRPC API: messages in, reconciler, messages out. No other logic."""

from tiara.api.servicers import add_servicers

__all__ = ["add_servicers"]
