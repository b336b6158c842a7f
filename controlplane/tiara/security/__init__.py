# SPDX-License-Identifier: Apache-2.0
"""Who reaches the API, by which way, and what they may do there (docs/design/0012)."""
