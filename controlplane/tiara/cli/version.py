# SPDX-License-Identifier: Apache-2.0
"""The version of this program."""

from importlib.metadata import PackageNotFoundError, version


def client_version() -> str:
    """As installed."""
    try:
        return version("tiara-lb")
    except PackageNotFoundError:
        return "unknown"
