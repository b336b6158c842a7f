# SPDX-License-Identifier: Apache-2.0
"""One probe of one backend: TCP, HTTP or HTTPS, as its check says."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from functools import cached_property

import aiohttp
from yarl import URL

from tiara.domain.model import HealthCheck, HttpCheck

_LOCAL = {errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS}
_REASONS = {
    errno.ECONNREFUSED: "connect: refused",
    errno.EHOSTUNREACH: "connect: no route to host",
    errno.ETIMEDOUT: "connect: timed out",
    errno.ECONNRESET: "connect: reset",
}


class NoPath(Exception):
    """The probe could not leave this machine: it says nothing about the backend."""


class Prober:
    """Call it with an address and a check: "" when the backend answered, else why not."""

    async def __call__(self, address: str, check: HealthCheck) -> str:
        """``NoPath``: nothing was learned."""
        if check.http is None:
            return await probe_tcp(address, check)
        try:
            async with asyncio.timeout(check.timeout_ms / 1000):
                return await self._ask(address, check.port, check.http)
        except TimeoutError:
            return "http: timed out"
        except aiohttp.ClientSSLError as error:
            return _tls_reason(error)
        except aiohttp.ClientConnectorError as error:
            return _reason(error.os_error)
        except aiohttp.ClientOSError as error:
            return _reason(error)
        except aiohttp.ServerDisconnectedError:
            return "http: closed without an answer"
        except aiohttp.ClientError:
            return "http: the answer is no HTTP"

    async def close(self) -> None:
        """Probes in flight end."""
        if "_session" in self.__dict__:
            await self._session.close()

    async def _ask(self, address: str, port: int, http: HttpCheck) -> str:
        scheme = "https" if http.tls else "http"
        name = http.host.partition(":")[0]
        async with self._session.get(
            URL(f"{scheme}://{address}:{port}{http.path}", encoded=True),
            headers={"Host": http.host or _authority(address, port, http.tls)},
            allow_redirects=False,
            ssl=self._verifying if http.verify else self._trusting,
            server_hostname=(name or None) if http.tls else None,
        ) as answer:
            answer.close()
        return "" if http.expects(answer.status) else f"http: status {answer.status}"

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        """A connection for each probe, no cookies: each one meets the backend as a new client does."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "tiara-health"},
            auto_decompress=False,
        )

    @cached_property
    def _verifying(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    @cached_property
    def _trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


async def probe_tcp(address: str, check: HealthCheck) -> str:
    """Opens a TCP connection and closes it."""
    try:
        async with asyncio.timeout(check.timeout_ms / 1000):
            _, writer = await asyncio.open_connection(address, check.port)
    except TimeoutError:
        return "connect: timed out"
    except OSError as error:
        return _reason(error)
    writer.transport.abort()
    return ""


def _authority(address: str, port: int, tls: bool) -> str:
    return address if port == (443 if tls else 80) else f"{address}:{port}"


def _reason(error: OSError) -> str:
    """Why a connection failed; ``NoPath`` where the backend had no part in it."""
    if error.errno in _LOCAL:
        raise NoPath from error
    code = error.errno or 0
    return _REASONS.get(code, f"connect: {os.strerror(code).lower()}")


def _tls_reason(error: aiohttp.ClientSSLError) -> str:
    cause = getattr(error, "certificate_error", None) or error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"tls: certificate: {cause.verify_message.lower()}"
    reason = getattr(cause, "reason", None) or "handshake failed"
    return f"tls: {str(reason).lower().replace('_', ' ')}"
