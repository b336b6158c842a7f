# SPDX-License-Identifier: Apache-2.0
"""Scripted clients, and a checker of what became of their packets.

`tiara traffic` runs it in a process of its own (`python -m tiara.traffic`): scapy, which builds the
packets, is GPL-2 and an extra. docs/traffic.md is for its users.
"""
