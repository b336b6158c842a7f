# SPDX-License-Identifier: Apache-2.0
"""For pytest: Hypothesis stops at the first example that fails, and looks for no smaller one."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("first-example", phases=[Phase.explicit, Phase.generate])
settings.load_profile("first-example")
