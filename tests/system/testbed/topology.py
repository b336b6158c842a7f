# SPDX-License-Identifier: Apache-2.0
"""Network namespaces on one layer-2 segment: a client, the balancer, real servers, a bridge between them.

    client .7 ---+--- bridge ---+--- balancer (no address: DPDK's own is .2)
                                +--- b1 .11, b2 .12 ... each with nginx and a UDP echo

All addresses are of 198.18.0.0/15 (RFC 2544) and exist inside the namespaces only. Every server holds
the whole VIP prefix on `lo` and a VXLAN device, so both forwarding modes work with the same servers.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

CLIENT_ADDRESS = "198.18.0.7"
BALANCER_ADDRESS = "198.18.0.2"
PREFIX_BITS = 24
VIP_NETWORK = "198.18.100.0/24"
TCP_VIP = "198.18.100.1"
UDP_VIP = "198.18.100.2"
SIDE_VIP = "198.18.100.9"
HTTP_PORT = 80
UDP_PORTS = range(5300, 5310)
UNDERLAY_MTU_BYTES = 1600
CLIENT_MTU_BYTES = 1500
INNER_MAC = "02:54:49:41:52:41"
OPEN_FILES = 16384
STATE_FOLDER = Path("/run/tiara-testbed")
_HERE = Path(__file__).parent
_OFFLOADS = "tx off rx off tso off gso off gro off"


class TestbedError(RuntimeError):
    """Something the testbed needs did not work; the message says what and where."""


def server_address(number: int) -> str:
    """The own address of server `b<number>`."""
    return f"198.18.0.{10 + number}"


def run(*command: str, stdin: str | None = None) -> str:
    """Runs a command; TestbedError with its output when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip()
        raise TestbedError(f"{' '.join(command)}: exit {done.returncode}: {output}")
    return done.stdout


@cache
def server_setup(mode: str) -> str:
    """The commands that `tiara backend-setup` prints for the testbed's servers; no control plane is asked."""
    tunnel = ["--vni=1", "--vxlan-port=4789", f"--inner-mac={INNER_MAC}"] if mode == "vxlan" else []
    program = str(Path(sys.executable).parent / "tiara")
    return run(program, "backend-setup", "testbed", f"--mode={mode}", f"--vip={VIP_NETWORK}", *tunnel)


def end_process(pid: int, *, first: signal.Signals = signal.SIGTERM, wait_s: float = 2.0) -> None:
    """Ends one process by its pid: asks, waits, kills."""
    with suppress(ProcessLookupError):
        os.kill(pid, first)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)


class Topology:
    """The namespaces of one testbed and the processes in them.

    `name` makes them unique on the host, `queues` is what the balancer's interface has each way. Use as a
    context manager, or call `close`.
    """

    def __init__(self, name: str, servers: int = 4, queues: int = 1) -> None:
        self.name = name
        self.server_cnt = servers
        self.queues = queues
        self.folder = STATE_FOLDER / name
        self.log_folder = self.folder / "log"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: IO[str] | None = None
        self._kept = False

    def namespace(self, role: str) -> str:
        """The host's name for the namespace of `client`, `balancer`, `switch`, `b1` ..."""
        return f"tiara-{self.name}-{role}"

    @property
    def servers(self) -> list[str]:
        """The ids of the real servers."""
        return [f"b{number}" for number in range(1, self.server_cnt + 1)]

    @property
    def roles(self) -> list[str]:
        """All namespaces by role."""
        return ["switch", "client", "balancer", *self.servers]

    def __enter__(self) -> Topology:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Builds everything; takes away what a killed testbed left behind."""
        with _one_at_a_time():
            remove_stale()
            self.log_folder.mkdir(parents=True)
            self._lock = (self.folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            self._create_namespaces()
            self._create_links()
            for server in self.servers:
                self.start_server(server)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the processes in the namespaces and removes them, unless kept; harmless when called again."""
        if self._kept:
            return
        for process in self._processes.values():
            end_process(process.pid)
            process.wait()
        self._processes.clear()
        _remove(self.name)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def keep(self) -> None:
        """Leaves everything running after this process; `remove_kept` ends it."""
        (self.folder / "kept").touch()
        self._kept = True

    # ---- processes

    def command(self, role: str, *argv: str) -> list[str]:
        """The same command inside the namespace of a role."""
        # not `ip netns exec`: that mounts /sys anew, which a chroot without a mount of its own refuses
        return ["nsenter", f"--net=/run/netns/{self.namespace(role)}", "--", *argv]

    def run(self, role: str, *argv: str) -> str:
        """Runs a command in a namespace and returns what it prints."""
        return run(*self.command(role, *argv))

    def start(self, key: str, role: str, *argv: str) -> subprocess.Popen[bytes]:
        """Starts a process in a namespace; its output goes to `log_folder/key.log`."""
        with (self.log_folder / f"{key}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(role, *argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[key] = process
        return process

    def process(self, key: str) -> subprocess.Popen[bytes]:
        """A process that was started under this key."""
        return self._processes[key]

    def exit_status(self, key: str) -> int | None:
        """How a process ended that nobody stopped; None: it runs, or was stopped."""
        process = self._processes.get(key)
        return None if process is None else process.poll()

    def stop(self, key: str, sig: signal.Signals = signal.SIGTERM, wait_s: float = 10.0) -> int:
        """Ends a process and returns its exit status (negative: the signal)."""
        process = self._processes.pop(key)
        with suppress(ProcessLookupError):
            process.send_signal(sig)
        try:
            return process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise TestbedError(f"{key}: still there {wait_s:.0f} s after {sig.name}") from None

    def log_tail(self, key: str, lines: int = 15) -> str:
        """The end of a process's output."""
        path = self.log_folder / f"{key}.log"
        if not path.exists():
            return "(no output)"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    # ---- servers

    def start_server(self, server: str) -> None:
        """Starts nginx and the UDP echo of a server."""
        nginx = ["nginx", "-c", str(self._write_nginx(server)), "-e", "stderr"]
        self.start(f"nginx-{server}", server, "prlimit", f"--nofile={OPEN_FILES}:{OPEN_FILES}", *nginx)
        ports = [str(port) for port in UDP_PORTS]
        self.start(f"udp-{server}", server, sys.executable, str(_HERE / "udp_server.py"), server, *ports)

    def kill_server(self, server: str) -> None:
        """kill -9 of all that serves there; the host itself stays up."""
        self.stop(f"nginx-{server}", signal.SIGKILL)
        self.stop(f"udp-{server}", signal.SIGKILL)

    def _write_nginx(self, server: str) -> Path:
        path = self.folder / f"nginx-{server}.conf"
        path.write_text(
            f"""daemon off;
master_process off;
pid {self.folder}/nginx-{server}.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    server_tokens off;
    default_type text/plain;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {self.folder}/tmp-{server};
    proxy_temp_path {self.folder}/tmp-{server};
    fastcgi_temp_path {self.folder}/tmp-{server};
    uwsgi_temp_path {self.folder}/tmp-{server};
    scgi_temp_path {self.folder}/tmp-{server};
    server {{
        listen {HTTP_PORT} backlog=4096;
        location / {{ return 200 "{server} $uri\\n"; }}
    }}
}}
"""
        )
        return path

    # ---- building

    def _create_namespaces(self) -> None:
        for role in self.roles:
            run("ip", "netns", "add", self.namespace(role))
            self._shell(
                role,
                "cd /proc/sys/net",
                "for i in all default; do if [ -e ipv6 ]; then echo 1 > ipv6/conf/$i/disable_ipv6; fi; done",
                "echo 0 > ipv4/ip_forward",
                "ip link set lo up",
            )

    def _create_links(self) -> None:
        lines = ["link add br0 type bridge stp_state 0 mcast_snooping 0"]
        for role in self.roles[1:]:
            queues = f"numtxqueues {self.queues} numrxqueues {self.queues}" if role == "balancer" else ""
            peer = f"peer name eth0 {queues} netns {self.namespace(role)}"
            lines.append(f"link add {role} {queues} type veth {peer}")
            lines.append(f"link set {role} mtu {UNDERLAY_MTU_BYTES} master br0 up")
        lines.append(f"link set br0 mtu {UNDERLAY_MTU_BYTES} up")
        batch = "\n".join(lines) + "\n"
        run(*self.command("switch", "ip", "-batch", "-"), stdin=batch)
        self._shell("switch", *(f"ethtool -K {role} {_OFFLOADS}" for role in self.roles[1:]))
        self._set_up_client()
        self._shell(
            "balancer", f"ethtool -K eth0 {_OFFLOADS}", f"ip link set eth0 mtu {UNDERLAY_MTU_BYTES} up"
        )
        for number, server in enumerate(self.servers, start=1):
            self._set_up_server(server, server_address(number))

    def _set_up_client(self) -> None:
        self._shell(
            "client",
            f"ethtool -K eth0 {_OFFLOADS}",
            f"ip addr add {CLIENT_ADDRESS}/{PREFIX_BITS} dev eth0",
            f"ip link set eth0 mtu {CLIENT_MTU_BYTES} up",
            f"ip route add {VIP_NETWORK} dev eth0",
            "echo '20000 29999' > /proc/sys/net/ipv4/ip_local_port_range",
        )

    def _set_up_server(self, server: str, address: str) -> None:
        self._shell(
            server,
            "cd /proc/sys/net/ipv4/conf",
            "for i in all default eth0; do echo 0 > $i/rp_filter; done",
            f"ethtool -K eth0 {_OFFLOADS}",
            f"ip addr add {address}/{PREFIX_BITS} dev eth0",
            f"ip link set eth0 mtu {UNDERLAY_MTU_BYTES} up",
        )
        for mode in ("l2", "vxlan"):
            self._shell(server, server_setup(mode))

    def _shell(self, role: str, *lines: str) -> None:
        run(*self.command(role, "sh", "-ec", "\n".join(lines)))


def _namespaces(prefix: str) -> list[str]:
    listed = run("ip", "netns", "list").splitlines()
    return [name for line in listed if (name := line.split(" ")[0]).startswith(prefix)]


def _remove(name: str) -> None:
    """Ends every process in the namespaces of a testbed and removes them and its folder."""
    namespaces = _namespaces(f"tiara-{name}-")
    pids = [int(pid) for namespace in namespaces for pid in run("ip", "netns", "pids", namespace).split()]
    for pid in pids:
        end_process(pid)
    for namespace in namespaces:
        run("ip", "netns", "delete", namespace)
    for segment in segment_files(name):
        segment.unlink(missing_ok=True)
    for folder in (Path("/run/tiara") / name, Path("/run/dpdk") / f"tiara-{name}", STATE_FOLDER / name):
        shutil.rmtree(folder, ignore_errors=True)


def segment_files(name: str) -> list[Path]:
    """The segment files of a testbed's instance, wherever they are."""
    folders = [Path("/dev/shm")]
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split(" ")
        if kind == "hugetlbfs":
            folders.append(Path(folder))
    return [path for folder in folders for path in folder.glob(f"tiara-{name}.*")]


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """No testbed is taken for stale while it is being opened."""
    STATE_FOLDER.mkdir(parents=True, exist_ok=True)
    with STATE_FOLDER.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_owned(folder: Path) -> bool:
    try:
        with (folder / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove_stale() -> None:
    """Removes testbeds whose process is gone, but for those that were kept."""
    for folder in STATE_FOLDER.glob("*"):
        if not (folder / "kept").exists() and not _is_owned(folder):
            _remove(folder.name)


def remove_kept() -> list[str]:
    """Ends the testbeds that were left up; returns their names."""
    kept = [folder.name for folder in STATE_FOLDER.glob("*") if (folder / "kept").exists()]
    for name in kept:
        _remove(name)
    with _one_at_a_time():
        remove_stale()
    return kept
