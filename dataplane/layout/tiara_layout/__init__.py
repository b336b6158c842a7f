# SPDX-License-Identifier: Apache-2.0
"""The layout contract: reads layout.h's DWARF, checks its rules, writes what is made of it."""
