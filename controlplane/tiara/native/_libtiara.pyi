# SPDX-License-Identifier: Apache-2.0
# The built extension. Its types are libtiara.cdef's, which mypy cannot read; segment.py types the calls.
from typing import Any

ffi: Any
lib: Any
