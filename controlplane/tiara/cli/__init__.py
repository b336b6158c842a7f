# SPDX-License-Identifier: Apache-2.0
"""The operator's command line: `tiara`, a gRPC client like any other."""

import os

# Before gRPC is imported: its remarks about lost connections do not belong between our lines.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
