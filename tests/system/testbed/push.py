# SPDX-License-Identifier: Apache-2.0
"""Pushes connections into the table before their clients open them: each is pinned to one backend.

usage: push.py SERVER SERVICE BACKEND CLIENT FIRST_PORT COUNT
as:    push.py unix:/run/tiara/default/api.sock web web/b2 198.18.0.7 50000 100
"""

from __future__ import annotations

import sys

from tiara import client
from tiara.v1 import connection_pb2


def push(server: str, service: str, backend: str, address: str, ports: range) -> int:
    """Pushes one connection for each client port; returns how many are in the table now."""
    pool, name = backend.split("/")
    wanted = [
        client.PushedConnection(
            client_address=address,
            client_port=port,
            service=client.service_name(service),
            backend=client.backend_name(pool, name),
            state=connection_pb2.CONNECTION_STATE_NEW,
        )
        for port in ports
    ]
    with client.connect(server) as channel:
        return client.push_connections(channel, wanted).accepted


def main() -> None:
    """The program."""
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    server, service, backend, address, first, count = sys.argv[1:]
    ports = range(int(first), int(first) + int(count))
    accepted = push(server, service, backend, address, ports)
    print(f"{accepted} of {len(ports)} connections of {service} pushed, pinned to {backend}")
    sys.exit(accepted != len(ports))


if __name__ == "__main__":
    main()
