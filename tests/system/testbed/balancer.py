# SPDX-License-Identifier: Apache-2.0
"""Tiara's two daemons in the balancer's namespace, and its operator: CLI and API."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import grpc
from tiara import client
from tiara.v1 import (
    backend_pool_pb2,
    backend_pool_pb2_grpc,
    configuration_pb2,
    configuration_pb2_grpc,
    connection_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    virtual_service_pb2,
    virtual_service_pb2_grpc,
)

from testbed.topology import BALANCER_ADDRESS, PREFIX_BITS, TestbedError, Topology, segment_files

BIN = Path(sys.executable).parent
DATAPLANE = "dataplane"
CONTROLPLANE = "controlplane"
START_WAIT_S = 15.0
CALL_S = 10.0

CONTROLPLANE_PROGRAM = (str(BIN / "tiara-controlplane"),)
SIZES = {"connections": 65536, "services": 4096, "backends": 4096, "heap-mb": 128}

_MODES = {
    "l2": backend_pool_pb2.FORWARDING_MODE_L2_DIRECT_RETURN,
    "vxlan": backend_pool_pb2.FORWARDING_MODE_VXLAN,
    "ipip": backend_pool_pb2.FORWARDING_MODE_IPIP,
}


class Balancer:
    """Starts, kills and restarts the daemons; every call says what it waits for when it does not come."""

    def __init__(
        self,
        topology: Topology,
        io: str = "af_packet",
        sizes: Mapping[str, int | str] = SIZES,
        controlplane: Sequence[str] = CONTROLPLANE_PROGRAM,
        workers: int = 1,
    ) -> None:
        self.topology = topology
        self.instance = topology.name
        self.io = io
        self.sizes = sizes
        self.controlplane = controlplane
        self.workers = workers
        self.store = topology.folder / "store.db"
        self._connect()

    # ---- daemons

    def start(self) -> None:
        """Both daemons, until the control plane answers and the data plane runs."""
        self.start_dataplane()
        self.start_controlplane()
        self.wait_for(
            "a running data plane", lambda: self.node().workers_online or self.node().dataplane_live
        )

    def start_dataplane(self) -> None:
        """Starts it; does not wait."""
        self.topology.start(DATAPLANE, "balancer", *self.dataplane_command())

    def dataplane_command(self) -> list[str]:
        """The data plane's command line."""
        sizes = [f"--{name}={value}" for name, value in self.sizes.items()]
        return [
            str(BIN / "tiara-dataplane"),
            f"--instance={self.instance}",
            f"--io={self.io}:eth0",
            f"--address={BALANCER_ADDRESS}/{PREFIX_BITS}",
            f"--workers={self.workers}",
            *sizes,
        ]

    def start_controlplane(self) -> None:
        """Starts it and waits until it answers."""
        self.topology.start(CONTROLPLANE, "balancer", *self.controlplane_command())
        self._connect()
        self.wait_for("the control plane's answer", lambda: self.node() is not None)

    def controlplane_command(self) -> list[str]:
        """The control plane's command line."""
        return [*self.controlplane, f"--instance={self.instance}", f"--store={self.store}"]

    def kill(self, key: str) -> int:
        """kill -9 of DATAPLANE or CONTROLPLANE; returns its pid."""
        pid = self.topology.process(key).pid
        self.topology.stop(key, signal.SIGKILL)
        return pid

    def signal(self, key: str, sig: signal.Signals) -> int:
        """Sends a signal to a daemon; returns its pid."""
        pid = self.topology.process(key).pid
        os.kill(pid, sig)
        return pid

    def segments(self) -> list[Path]:
        """The segment's file."""
        return segment_files(self.instance)

    def wait_for(self, what: str, is_so: Callable[[], object], wait_s: float = START_WAIT_S) -> None:
        """Asks until it is so. TestbedError names what was waited for, with the end of the daemons' logs."""
        deadline = time.monotonic() + wait_s
        last = ""
        while time.monotonic() < deadline:
            try:
                if is_so():
                    return
                last = ""
            except grpc.RpcError as error:
                last = f" ({error.details() if isinstance(error, grpc.Call) else error})"
            self._check_alive()
            time.sleep(0.02)
        raise TestbedError(f"waited {wait_s:.0f} s for {what}{last}\n{self.logs()}")

    def _check_alive(self) -> None:
        for key in (DATAPLANE, CONTROLPLANE):
            status = self.topology.exit_status(key)
            if status is not None:
                raise TestbedError(f"{key} has ended with {status}\n{self.logs()}")

    def logs(self) -> str:
        """The end of both daemons' output."""
        return "\n".join(f"--- {key}\n{self.topology.log_tail(key)}" for key in (DATAPLANE, CONTROLPLANE))

    # ---- the operator

    def cli(self, command: str) -> str:
        """Runs a command line of the CLI (`tiara ...`) and returns what it prints."""
        program, *arguments = shlex.split(command)
        done = subprocess.run(
            [str(BIN / program), *arguments],
            env={**os.environ, "TIARA_INSTANCE": self.instance},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise TestbedError(f"{command}: exit {done.returncode}\n{done.stderr.strip()}\n{self.logs()}")
        return done.stdout.strip()

    def _connect(self) -> None:
        self.channel = client.connect(client.default_address(self.instance))
        self.pools = backend_pool_pb2_grpc.BackendPoolServiceStub(self.channel)
        self.services = virtual_service_pb2_grpc.VirtualServiceServiceStub(self.channel)
        self.configurations = configuration_pb2_grpc.ConfigurationServiceStub(self.channel)
        self.connections = connection_pb2_grpc.ConnectionServiceStub(self.channel)
        self.nodes = node_pb2_grpc.NodeServiceStub(self.channel)

    def node(self) -> node_pb2.Node:
        """This node as the API shows it."""
        return self.nodes.GetNode(node_pb2.GetNodeRequest(), timeout=CALL_S)

    def statistics(self, count: bool = True) -> node_pb2.Statistics:
        """Counters; with `count` also numbers of live connections."""
        return self.nodes.GetStatistics(
            node_pb2.GetStatisticsRequest(count_connections=count), timeout=CALL_S
        )

    def drain(self, pool: str, backend: str) -> None:
        """No new connections for it."""
        request = backend_pool_pb2.DrainBackendRequest(name=client.backend_name(pool, backend))
        self.pools.DrainBackend(request, timeout=CALL_S)

    def undrain(self, pool: str, backend: str) -> None:
        """Ends that."""
        request = backend_pool_pb2.UndrainBackendRequest(name=client.backend_name(pool, backend))
        self.pools.UndrainBackend(request, timeout=CALL_S)

    def wait_applied(self, wait_s: float = 10.0) -> None:
        """Until packets see the newest revision."""
        request = node_pb2.WaitAppliedRequest()
        request.timeout.FromMilliseconds(int(wait_s * 1000))
        self.nodes.WaitApplied(request, timeout=wait_s + 5)

    def export(self) -> configuration_pb2.Configuration:
        """All that is stored, as a configuration."""
        request = configuration_pb2.ExportConfigurationRequest()
        return self.configurations.ExportConfiguration(request, timeout=CALL_S).configuration

    def plan(self, wanted: configuration_pb2.Configuration) -> configuration_pb2.Plan:
        """What applying it would do."""
        request = configuration_pb2.PlanConfigurationRequest(configuration=wanted)
        return self.configurations.PlanConfiguration(request, timeout=CALL_S)

    def create_pool(self, pool: str, mode: str, *, check_port: int = 0, rows: int = 0) -> None:
        """A pool; with a port, a health check that takes a server that refuses out in well under a second.

        Its timeout is long: on a busy machine a server is slow to answer, and that is no fault of it.
        """
        wanted = backend_pool_pb2.BackendPool(forwarding_mode=_MODES[mode], selection_rows=rows)
        if check_port:
            check = wanted.health_check
            check.tcp.port = check_port
            check.interval.FromMilliseconds(200)
            check.timeout.FromMilliseconds(1000)
            check.rise, check.fall = 2, 3
        request = backend_pool_pb2.CreateBackendPoolRequest(backend_pool_id=pool, backend_pool=wanted)
        self.pools.CreateBackendPool(request, timeout=CALL_S)

    def delete_pool(self, pool: str) -> None:
        """A pool and its backends."""
        request = backend_pool_pb2.DeleteBackendPoolRequest(name=client.pool_name(pool), force=True)
        self.pools.DeleteBackendPool(request, timeout=CALL_S)

    def create_backend(self, pool: str, backend: str, address: str) -> None:
        """A backend."""
        request = backend_pool_pb2.CreateBackendRequest(
            parent=client.pool_name(pool),
            backend_id=backend,
            backend=backend_pool_pb2.Backend(address=address),
        )
        self.pools.CreateBackend(request, timeout=CALL_S)

    def create_service(self, service: str, pool: str, *frontends: str) -> None:
        """A service of frontends as "tcp:198.18.100.1:80"."""
        wanted = virtual_service_pb2.VirtualService(
            frontends=[client.parse_frontend(frontend) for frontend in frontends],
            backend_pool=client.pool_name(pool),
        )
        request = virtual_service_pb2.CreateVirtualServiceRequest(
            virtual_service_id=service, virtual_service=wanted
        )
        self.services.CreateVirtualService(request, timeout=CALL_S)

    def delete_service(self, service: str) -> None:
        """A service."""
        request = virtual_service_pb2.DeleteVirtualServiceRequest(name=client.service_name(service))
        self.services.DeleteVirtualService(request, timeout=CALL_S)

    def backend(self, pool: str, backend: str) -> backend_pool_pb2.Backend:
        """A backend as the API shows it."""
        request = backend_pool_pb2.GetBackendRequest(name=client.backend_name(pool, backend))
        return self.pools.GetBackend(request, timeout=CALL_S)

    def is_down(self, pool: str, backend: str) -> bool:
        """Whether its health check has taken it out."""
        return self.backend(pool, backend).status.health == backend_pool_pb2.HEALTH_STATE_DOWN
