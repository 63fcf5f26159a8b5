"""Find the proxy for a URL in the environment variables HTTP(S)_PROXY, ALL_PROXY and NO_PROXY."""

from __future__ import annotations

import os
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from faq_tui.core.base.errors import UsageError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
HTTP_PROXIES = frozenset({"http", "https"})
# The keys are schemes of proxy URLs. Each value is a pair (protocol, resolves). `resolves` is True if the proxy looks
# up the server's address, and False if this machine looks it up.
SOCKS_PROXIES = {
    "socks": ("socks5", True),
    "socks4": ("socks4", False),
    "socks4a": ("socks4", True),
    "socks5": ("socks5", False),
    "socks5h": ("socks5", True),
}


@dataclass(frozen=True)
class EnvironmentProxy:
    """A proxy, and the environment variable that holds its URL.

    The URL is never shown, because it may contain a password.
    """

    variable: str
    url: str

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme.lower()


def proxy_for(url: str) -> EnvironmentProxy | None:
    """The proxy for requests to `url`. None for loopback addresses, because no proxy can reach them.

    Raises UsageError if the variable does not hold the address of an HTTP or SOCKS proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    found = urllib.request.getproxies()
    name = parts.scheme if found.get(parts.scheme) else "all"
    address = found.get(name)
    if not address:
        return None
    proxy = EnvironmentProxy(_variable(f"{name}_proxy"), address if "://" in address else f"http://{address}")
    _check(proxy)
    return proxy


def _variable(name: str) -> str:
    """The name of the variable as the environment spells it, in upper or lower case."""
    spelled = next((one for one in (name, name.upper()) if os.environ.get(one)), None)
    return f"${spelled}" if spelled else f"${name.upper()}"


def _check(proxy: EnvironmentProxy) -> None:
    scheme = proxy.url.partition("://")[0].lower()
    if scheme not in HTTP_PROXIES and scheme not in SOCKS_PROXIES:
        raise UsageError(
            f"the proxy in {proxy.variable} begins with {scheme}://, which is not supported: set a proxy that "
            "begins with http://, https:// or socks5://, or add the server's host to $NO_PROXY"
        )
    try:
        parts = urlsplit(proxy.url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{proxy.variable} holds no address of a proxy: write http://host:port, or unset it")
