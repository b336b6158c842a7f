# SPDX-License-Identifier: Apache-2.0
"""HTTP and HTTPS probes against real servers on loopback."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from tiara.domain.model import Health, HealthCheck, HttpCheck
from tiara.health import Monitor, Target
from tiara.health.probe import NoPath, Prober, _reason

HERE = "127.0.0.1"


class Server:
    """Answers what the test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.delay_s = 0.0
        self.asked: list[web.Request] = []
        self._runners: list[web.AppRunner] = []

    async def listen(self, tls: ssl.SSLContext | None = None) -> int:
        """The port it listens on."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, HERE, 0, ssl_context=tls)
        await site.start()
        port: int = runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Ends it."""
        for runner in self._runners:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        await asyncio.sleep(self.delay_s)
        location = {"Location": f"http://{HERE}:1/nowhere"} if 300 <= self.status < 400 else {}
        return web.Response(status=self.status, text="x", headers=location)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Not listening yet."""
    made = Server()
    yield made
    await made.close()


@pytest.fixture
async def probe() -> AsyncIterator[Prober]:
    """As the monitor has it."""
    made = Prober()
    yield made
    await made.close()


def checked(port: int, timeout_ms: int = 5000, **fields: object) -> HealthCheck:
    """An HTTP check of this port."""
    return HealthCheck(port, timeout_ms=timeout_ms, http=HttpCheck(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "statuses", "expected"),
    [
        (200, ((200, 399),), ""),
        (204, ((200, 399),), ""),
        (302, ((200, 399),), ""),
        (399, ((200, 399),), ""),
        (400, ((200, 399),), "http: status 400"),
        (503, ((200, 399),), "http: status 503"),
        (204, ((200, 200),), "http: status 204"),
        (401, ((200, 299), (401, 401)), ""),
    ],
)
async def test_status(
    server: Server, probe: Prober, status: int, statuses: tuple[tuple[int, int], ...], expected: str
) -> None:
    """A success is a status in an expected range; a redirect is an answer and is not followed."""
    server.status = status
    port = await server.listen()
    assert await probe(HERE, checked(port, statuses=statuses)) == expected
    assert len(server.asked) == 1


async def test_request(server: Server, probe: Prober) -> None:
    """Path, query and Host go out as they were given; each probe is a connection of its own."""
    port = await server.listen()
    check = checked(port, path="/up%2Fnow?a=b%20c", host="www.example.org:8080")
    assert [await probe(HERE, check) for _ in range(2)] == ["", ""]
    assert {request.raw_path for request in server.asked} == {"/up%2Fnow?a=b%20c"}
    assert {request.headers["Host"] for request in server.asked} == {"www.example.org:8080"}
    assert {request.method for request in server.asked} == {"GET"}
    assert await probe(HERE, checked(port)) == ""
    assert server.asked[-1].headers["Host"] == f"{HERE}:{port}"


async def test_slow(server: Server, probe: Prober) -> None:
    """An answer after the timeout is none."""
    server.delay_s = 30.0
    port = await server.listen()
    assert await probe(HERE, checked(port, timeout_ms=200)) == "http: timed out"


async def test_refused(server: Server, probe: Prober) -> None:
    """Nobody listens."""
    port = await server.listen()
    await server.close()
    assert await probe(HERE, checked(port)) == "connect: refused"


@pytest.mark.parametrize(
    ("said", "expected"),
    [(b"", "http: closed without an answer"), (b"SSH-2.0-x\r\n\r\n", "http: the answer is no HTTP")],
)
async def test_no_http(probe: Prober, said: bytes, expected: str) -> None:
    """Something else listens there."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(answer, HERE, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        assert await probe(HERE, checked(port)) == expected


async def test_a_body_without_end_is_not_read(probe: Prober) -> None:
    """The status is enough: a probe ends while the body is still coming."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, HERE, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        assert await probe(HERE, checked(port)) == ""


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this machine trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """A server's TLS with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_tls(server: Server, probe: Prober, authority: trustme.CA) -> None:
    """HTTPS; verified where asked, by the host or by the backend's address."""
    port = await server.listen(serving(authority, "www.example.org", HERE))
    assert await probe(HERE, checked(port, tls=True)) == ""
    assert await probe(HERE, checked(port, tls=True, verify=True)) == ""
    assert await probe(HERE, checked(port, tls=True, verify=True, host="www.example.org")) == ""


async def test_tls_server_name(server: Server, probe: Prober, authority: trustme.CA) -> None:
    """The server is asked for the host by name."""
    names: list[str | None] = []
    context = serving(authority, "www.example.org")
    context.sni_callback = lambda tls, name, of: names.append(name)
    port = await server.listen(context)
    assert await probe(HERE, checked(port, tls=True, host="www.example.org:444")) == ""
    assert names == ["www.example.org"]


async def test_tls_certificate_refused(server: Server, probe: Prober, authority: trustme.CA) -> None:
    """A certificate for another name, or of an unknown authority, fails where it is to be verified."""
    named = await server.listen(serving(authority, "other.example.org"))
    check = checked(named, tls=True, verify=True, host="www.example.org")
    assert (await probe(HERE, check)).startswith("tls: certificate: ")
    unknown = await server.listen(serving(trustme.CA(), HERE))
    assert (await probe(HERE, checked(unknown, tls=True, verify=True))).startswith("tls: certificate: ")
    assert await probe(HERE, checked(unknown, tls=True)) == ""
    assert len(server.asked) == 1


async def test_tls_to_a_plain_server(server: Server, probe: Prober) -> None:
    """No TLS where it is expected."""
    port = await server.listen()
    assert (await probe(HERE, checked(port, tls=True))).startswith("tls: ")


def test_own_trouble_says_nothing() -> None:
    """No route or no descriptors here: the backend had no part in it."""
    for code in (errno.ENETUNREACH, errno.EMFILE):
        with pytest.raises(NoPath):
            _reason(OSError(code, "x"))


async def test_monitor_takes_a_server_out_and_back(server: Server) -> None:
    """By its statuses alone: fall failures and it is down, rise successes and it is up."""
    port = await server.listen()
    reports: asyncio.Queue[tuple[str, Health, str]] = asyncio.Queue()
    monitor = Monitor(lambda *report: reports.put_nowait(report), grace_s=0)
    check = HealthCheck(port, interval_ms=10, rise=2, fall=3, http=HttpCheck())
    monitor.carry(1)
    monitor.add(Target("u1", HERE, check))

    async def until(health: Health) -> str:
        while True:
            _, found, reason = await reports.get()
            if found is health:
                return reason

    async with asyncio.timeout(20):
        assert await until(Health.UP) == ""
        server.status = 500
        assert await until(Health.DOWN) == "http: status 500"
        server.status = 200
        assert await until(Health.UP) == ""
    await monitor.close()
