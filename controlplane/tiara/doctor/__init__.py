# SPDX-License-Identifier: Apache-2.0
"""Looks for what keeps a balancer from working, with a remedy for each thing that it finds."""
