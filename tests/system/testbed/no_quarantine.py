# SPDX-License-Identifier: Apache-2.0
"""tiara-controlplane with quarantine switched off: for the test that proves quarantine needed."""

from __future__ import annotations

from pathlib import Path

from tiara.domain.layout import Role
from tiara.native import Segment
from tiara.server import main


class CarelessSegment(Segment):
    """Indices are reused at once."""

    @classmethod
    def attach(cls, path: Path, role: Role = Role.READER) -> Segment:
        """As always, but for the switch."""
        segment = super().attach(path, role)
        segment.disable_quarantine_for_test()
        return segment


if __name__ == "__main__":
    from tiara.reconciler import actuator

    actuator.Segment = CarelessSegment  # type: ignore[attr-defined]
    main()
