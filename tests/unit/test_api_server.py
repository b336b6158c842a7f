# SPDX-License-Identifier: Apache-2.0
"""``tiara-controlplane`` as a process: ready, alone, ended by SIGTERM, started again after kill -9."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from security_world import Authority, free_port
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import backend_pool_pb2_grpc

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts one of an instance that no data plane has."""
    instance = f"unit-{uuid.uuid4().hex[:12]}"
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, stderr: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        where = "" if any("--listen=unix:" in argument for argument in arguments) else f"{tmp_path}/api.sock"
        listen = [f"--listen=unix:{where}"] if where else []
        store = f"--store={tmp_path}/store.db"
        process = subprocess.Popen(
            [sys.executable, "-m", "tiara.server", f"--instance={instance}", *listen, store, *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def port_of_metrics(process: subprocess.Popen[str]) -> int:
    """From the log; it was asked for any free port."""
    assert process.stderr
    line = next(line for line in process.stderr if "metrics" in line)
    return int(line.rpartition("port=")[2])


def ready(process: subprocess.Popen[str]) -> bool:
    """Waits for the word."""
    assert process.stdout
    return process.stdout.readline() == "ready\n"


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and the last line of what it said."""
    _, said = process.communicate(timeout=20)
    return process.returncode, said.strip().splitlines()[-1]


def create_pool(folder: Path, name: str) -> bp.BackendPool:
    """By the API."""
    with grpc.insecure_channel(f"unix:{folder}/api.sock") as channel:
        pool = bp.BackendPool(forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN)
        request = bp.CreateBackendPoolRequest(backend_pool_id=name, backend_pool=pool)
        stub = backend_pool_pb2_grpc.BackendPoolServiceStub(channel)
        return stub.CreateBackendPool(request, timeout=10)


def test_sigterm_ends_it_cleanly(start: Start, tmp_path: Path) -> None:
    """Exit status 0, and the socket is gone."""
    process = start()
    assert ready(process)
    create_pool(tmp_path, "web")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0
    assert not (tmp_path / "api.sock").exists()


def test_after_kill_9_it_goes_on(start: Start, tmp_path: Path) -> None:
    """The dead one's socket and store are taken over; what was written is there."""
    process = start()
    assert ready(process)
    create_pool(tmp_path, "web")
    process.kill()
    process.wait()
    assert (tmp_path / "api.sock").exists()
    assert ready(start())
    with pytest.raises(grpc.RpcError, match="exists already"):
        create_pool(tmp_path, "web")
    assert create_pool(tmp_path, "dns").revision == 2


def test_a_log_that_cannot_be_written_stops_nothing(start: Start, tmp_path: Path) -> None:
    """Its log is on a full disk: it starts, serves, and ends as always."""
    with Path("/dev/full").open("w") as full:
        process = start(stderr=full)
    assert ready(process)
    create_pool(tmp_path, "web")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_second_one_is_refused(start: Start, tmp_path: Path) -> None:
    """It ends with a sentence and leaves the first alone."""
    assert ready(start())
    status, said = ended(start())
    assert status == 1
    assert "is served by another process" in said
    status, said = ended(start(f"--listen=unix:{tmp_path}/other.sock"))
    assert status == 1
    assert "belongs to another running control plane" in said
    create_pool(tmp_path, "web")


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--listen=0.0.0.0:7000", "TCP is served without TLS only on loopback and with --insecure"),
        ("--listen=nonsense", "is neither unix:PATH nor ADDRESS:PORT"),
        ("--tls-cert=/tmp/x.pem", "--tls-cert and --tls-key are needed both"),
        ("--tls-client-ca=/tmp/x.pem", "--tls-cert and --tls-key are needed both"),
        ("--group=nobody-has-it", "there is no such group"),
        ("--user=nobody-has-it", "there is no such user"),
        ("--instance=Not/One", "must be 1 to 32 of a-z, 0-9 and '-'"),
        ("--store=/proc/none/store.db", "/proc/none"),
    ],
)
def test_bad_arguments(start: Start, argument: str, sentence: str) -> None:
    """Each is refused with a sentence, not a traceback."""
    status, said = ended(start(argument))
    assert status == 1
    assert said.startswith("Error: ")
    assert sentence in said


def test_metrics_where_asked_for(start: Start) -> None:
    """--metrics-listen serves them, whether a data plane has run or not."""
    process = start("--metrics-listen=127.0.0.1:0")
    assert ready(process)
    with urllib.request.urlopen(f"http://127.0.0.1:{port_of_metrics(process)}/metrics", timeout=10) as answer:
        assert b"tiara_dataplane_up 0.0" in answer.read()
    process.terminate()
    assert process.wait(10) == 0


@pytest.mark.parametrize("where", ["9464", "127.0.0.1:99999", "192.0.2.1:9464"])
def test_metrics_that_cannot_be_served(start: Start, where: str) -> None:
    """The process does not start without what it was told to serve, and names the option."""
    process = start(f"--metrics-listen={where}")
    assert process.wait(10) == 1
    assert process.stderr
    assert "--metrics-listen" in process.stderr.read()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A program that ends by itself, as `-m MODULE ...`."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_from_a_token_to_a_call_over_tls(start: Start, authority: Authority, tmp_path: Path) -> None:
    """As an operator does it: certificate, start, token, call; the token goes, the next call is refused."""
    files, listen = authority.files(), f"127.0.0.1:{free_port()}"
    tls = [f"--tls-cert={files.certificate}", f"--tls-key={files.key}"]
    process = start(f"--listen=unix:{tmp_path}/api.sock", f"--listen={listen}", *tls)
    assert ready(process)
    access = ["-m", "tiara.server", f"--store={tmp_path}/store.db", "token"]
    token = tmp_path / "ci.token"
    token.write_text(run(*access, "add", "ci", "--scope", "read", "--expires", "1h").stdout)

    call = ["-m", "tiara.cli.main", "--server", listen, f"--tls-ca={authority.folder}/ca.pem"]
    call += [f"--token-file={token}"]
    assert run(*call, "pool", "list").returncode == 0
    refused = run(*call, "pool", "create", "web", "--mode", "l2")
    assert refused.stderr == "tiara: CreateBackendPool needs the scope admin; token:ci has read\n"
    assert run(*access, "remove", "ci").stdout == "token ci removed\n"
    gone = run(*call, "pool", "list")
    assert (gone.returncode, "the token is not one of this server's" in gone.stderr) == (1, True)
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [line for line in said.splitlines() if "[error" in line or "Handshake" in line] == []


def test_damaged_access_ends_the_start(start: Start, tmp_path: Path) -> None:
    """Nobody is let in by half a file."""
    (tmp_path / "access.json").write_text("{")
    status, said = ended(start())
    assert (status, "access.json is damaged" in said) == (1, True)


def test_readers_have_a_socket(start: Start, tmp_path: Path) -> None:
    """Beside the admin one; --no-read-socket: none."""
    process = start()
    assert ready(process)
    assert (tmp_path / "api-read.sock").is_socket()
    process.terminate()
    assert process.wait(20) == 0
    assert [*tmp_path.glob("*.sock")] == []
    assert ready(start("--no-read-socket"))
    assert not (tmp_path / "api-read.sock").exists()
