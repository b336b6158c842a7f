# SPDX-License-Identifier: Apache-2.0
"""tiara top: services and backends as they are this second, on a terminal."""
