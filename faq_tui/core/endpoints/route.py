"""Connect to a server: by its address, with TLS, and through a proxy if the environment names one."""

from __future__ import annotations

import asyncio
import base64
import ssl
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PORTS = {"http": 80, "https": 443}


class ProxyError(ConnectionError):
    """The proxy that the environment names refused the connection."""


class Route:
    """How to connect to the server of one base URL."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._proxy = _proxy_for(self._url)

    @property
    def host(self) -> str:
        return self._url.hostname or ""

    @property
    def host_header(self) -> str:
        """The host name and port from the URL, without user and password."""
        return self._url.netloc.rpartition("@")[2]

    @property
    def credentials(self) -> str | None:
        """The value `Basic …` of the authorization header; None if the URL has no user and password."""
        return _basic(self._url)

    def target(self, path: str) -> str:
        """The target in the request line: the whole URL for a plain-HTTP proxy, otherwise only the path."""
        if self._proxy is not None and self._url.scheme == "http":
            return f"http://{self.host_header}{path}"
        return path

    async def connect(self, protocol: Callable[[], asyncio.Protocol]) -> Any:
        """Open a connection that uses `protocol`, and return its transport. Raises OSError."""
        loop = asyncio.get_running_loop()
        secure = _tls() if self._url.scheme == "https" else None
        if self._proxy is None:
            port = self._url.port or PORTS[self._url.scheme]
            transport, _ = await loop.create_connection(
                protocol, self.host, port, ssl=secure, happy_eyeballs_delay=0.25
            )
            return transport
        proxy_port = self._proxy.port or PORTS.get(self._proxy.scheme, 80)
        if secure is None:
            transport, _ = await loop.create_connection(protocol, self._proxy.hostname or "", proxy_port)
            return transport
        return await self._tunnel(loop, protocol, proxy_port, secure)

    async def _tunnel(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: Callable[[], asyncio.Protocol],
        port: int,
        tls: ssl.SSLContext,
    ) -> Any:
        assert self._proxy is not None
        address = f"{self.host}:{self._url.port or 443}"
        credentials = _basic(self._proxy)
        lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
        lines += [f"Proxy-Authorization: {credentials}"] if credentials else []
        reader, writer = await asyncio.open_connection(self._proxy.hostname, port)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].split(b" ")
            if len(status) < 2 or status[1] != b"200":
                raise ProxyError(f"the proxy answers {b' '.join(status[1:]).decode('latin-1')[:80]}")
            return await loop.start_tls(writer.transport, protocol(), tls, server_hostname=self.host)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
            raise ProxyError("the proxy closed the connection") from None
        except BaseException:
            writer.transport.abort()
            raise


def _proxy_for(url: SplitResult) -> SplitResult | None:
    """The proxy for this URL, or None. A loopback address of this machine has none, because no proxy can reach it."""
    host = url.hostname or ""
    if host in LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.request.getproxies().get(url.scheme)
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def _basic(url: SplitResult) -> str | None:
    if url.username is None:
        return None
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@cache
def _tls() -> ssl.SSLContext:
    """A TLS context with the system's certificates.

    If the system has none (as in a bare container), the certificates of certifi are used if it is installed.
    """
    context = ssl.create_default_context()
    if not context.get_ca_certs():
        try:
            import certifi
        except ImportError:
            return context
        context.load_verify_locations(certifi.where())
    return context
