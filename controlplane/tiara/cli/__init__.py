# SPDX-License-Identifier: Apache-2.0
"""The operator's command line: `tiara`, a gRPC client like any other."""
