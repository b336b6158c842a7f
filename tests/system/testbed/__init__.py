# SPDX-License-Identifier: Apache-2.0
"""What the demo and the system tests share: namespaces, daemons, held traffic."""
