# SPDX-License-Identifier: Apache-2.0
# The built extension. cffi's own stubs know FFI; the functions are typed by segment.py.
from typing import Any

from cffi import FFI

ffi: FFI
lib: Any
