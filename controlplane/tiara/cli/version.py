# SPDX-License-Identifier: Apache-2.0
"""The version of this program, and which versions go together."""

from importlib.metadata import PackageNotFoundError, version


def client_version() -> str:
    """As installed."""
    try:
        return version("tiara-lb")
    except PackageNotFoundError:
        return "unknown"


def skew(server: str, dataplane: str) -> list[str]:
    """What is wrong with these versions beside this program's; empty: one minor version."""
    own = client_version()
    others = (("control plane", server), ("data plane", dataplane))
    return [
        f"the {name} is {found}, this program {own}: use one minor version for all"
        for name, found in others
        if found and _minor(found) != _minor(own)
    ]


def _minor(version_text: str) -> list[str]:
    return version_text.split(".")[:2]
