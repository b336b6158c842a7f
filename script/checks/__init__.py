# SPDX-License-Identifier: Apache-2.0
"""What script/check runs: one module a part, each a function from the tree to findings."""
