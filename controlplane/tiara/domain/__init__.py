# SPDX-License-Identifier: Apache-2.0
"""What the balancer is told to do: frozen values, their rules, and the errors. No protocol, no I/O."""
