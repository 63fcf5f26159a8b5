"""The HTTP client of one server, based on the packages `openai` and `aiohttp`, whose exceptions it translates.

The two packages handle connections, TLS, HTTP, proxies, decompression and timeouts. The packages are imported only
when a client is opened, because the import takes a second.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from faq_tui.core.base.errors import UsageError, system_reason
from faq_tui.core.endpoints.proxies import SOCKS_PROXIES, EnvironmentProxy, proxy_for
from faq_tui.core.settings import Endpoint
from faq_tui.core.settings.secrets import basic_authorization

# Every request has its own connection. Servers such as llama.cpp close a connection after a stream, or when it is
# idle. A second request on the same connection could fail.
KEEP_IDLE_S = 0.0
ACCEPT_ENCODING = "gzip, deflate"
# The package `openai` sets these headers from environment variables. These headers name the user's account at OpenAI.
ACCOUNT = ("OpenAI-Organization", "OpenAI-Project")
UNSENT = ("X-Stainless-Retry-Count", "X-Stainless-Read-Timeout")
REFUSES_USER = 407  # the HTTP status with which a proxy refuses the user or the password
PORTS = {"socks4": 1080, "socks5": 1080}


class IdleError(TimeoutError):
    """The server sent nothing for longer than the idle time."""


class CutOffError(ConnectionError):
    """The connection ended before the response was complete, or the response is not HTTP."""


class ProxyError(ConnectionError):
    """The proxy in the environment variables did not let the request through.

    `refuses` is True if the proxy refuses the user or the password, so that another try cannot help.
    """

    def __init__(self, variable: str, why: str, refuses: bool = False) -> None:
        super().__init__(why)
        self.variable, self.why, self.refuses = variable, why, refuses


class Transport:
    """Sends requests to the server of one endpoint. Close the transport after the last request."""

    def __init__(self, endpoint: Endpoint, key: str, on_head: Callable[[Any], Awaitable[None]]) -> None:
        """`on_head` is awaited with each httpx2.Response before its body is read.

        `send` raises the exceptions of `on_head`.

        Raises UsageError if the environment names a proxy that cannot be used.
        """
        self._endpoint, self._on_head = endpoint, on_head
        self._url = urlsplit(endpoint.base_url)
        self._authorization = (
            basic_authorization(endpoint.base_url) if endpoint.api_key_env is None else None
        ) or f"Bearer {key}"
        self._extra_headers = extra_headers(endpoint)
        self._proxy = proxy_for(endpoint.base_url)
        self._client: Any = None  # an openai.AsyncOpenAI; it is made for the first request

    def open(self) -> None:
        """Load the packages before any time limit begins, because the import takes seconds on a busy machine."""
        if self._client is None:
            self._client = self._opened()

    async def send(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> Any:
        """Send one request, and return its httpx2.Response. This method does not read the body.

        The caller must close the response.

        `path` is appended to the path of base_url. The query of base_url is sent, too. No redirect is followed.

        Raises the exceptions of the packages `openai` and `aiohttp`. `translated` translates them.
        """
        import httpx2
        import openai

        self.open()
        silent = dict.fromkeys(UNSENT, openai.omit)
        request: dict[str, Any] = {
            "cast_to": httpx2.Response,
            "stream": True,
            "stream_cls": openai.AsyncStream[Any],
            "options": {"headers": {**silent, **headers}, "follow_redirects": False},
        }
        target = f"{path}?{self._url.query}" if self._url.query else path
        if method == "GET":
            return await self._client.get(target, **request)
        return await self._client.post(target, content=content, **request)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _opened(self) -> Any:
        import httpx2
        import openai

        endpoint = self._endpoint
        timeout = openai.Timeout(
            connect=endpoint.connect_timeout_s,  # TCP and TLS
            pool=endpoint.connect_timeout_s,  # time limit for name resolution, proxy, TCP and TLS together
            read=endpoint.idle_timeout_s,
            write=endpoint.idle_timeout_s,
        )
        transport = None
        if self._proxy is not None and self._proxy.scheme in SOCKS_PROXIES:
            transport = _socks_transport(self._proxy)
        http_client = openai.DefaultAioHttpClient(
            event_hooks={"response": [self._on_head]},
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=0, keepalive_expiry=KEEP_IDLE_S),  # 0 means that there is no limit
            timeout=timeout,
            transport=transport,
            proxy=_with_latin_1(self._proxy.url) if self._proxy is not None and transport is None else None,
            trust_env=False,  # httpx2 must not read the environment, because `proxy_for` has already found the proxy
            verify=_trusted_certificates(),
        )
        client = openai.AsyncOpenAI(
            # The URL has no password, because a header holds the password. The URL has no query either, because
            # `send` adds the query.
            base_url=urlunsplit((self._url.scheme, self._url.netloc.rpartition("@")[2], self._url.path, "", "")),
            api_key="none",  # openai requires a key; the real key is in the header Authorization
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        )
        # Headers that describe this machine, or that are meant for OpenAI's own servers, are never sent.
        lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
        foreign = (line.partition(":")[0].strip() for line in lines)
        names = [*client.platform_headers(), "X-Stainless-Async", *ACCOUNT, *filter(None, foreign)]
        own = {
            "Authorization": self._authorization,
            "User-Agent": "faq-tui",
            "Connection": "close",
            "Accept-Encoding": ACCEPT_ENCODING,
        }
        replaced = {name.lower() for name in self._extra_headers}
        return client.with_options(
            set_default_headers={
                **dict.fromkeys(names, openai.omit),
                **{name: value for name, value in own.items() if name.lower() not in replaced},
                **self._extra_headers,
            }
        )

    def translated(self, error: Exception) -> Exception:
        """Translate the exception of a request into an OSError or a UnicodeError, which `faults.explain` knows.

        An exception that does not come from the packages is returned unchanged.
        """
        import aiohttp
        import httpx2
        import openai

        while isinstance(error, openai.OpenAIError | httpx2.HTTPError) and isinstance(error.__cause__, Exception):
            if isinstance(error, httpx2.DecodingError):
                return CutOffError("the compression of the response does not match its header")
            error = error.__cause__
        proxied = self._proxied(error)
        if proxied is not None:
            return proxied
        if isinstance(error, aiohttp.SocketTimeoutError):
            return IdleError(f"nothing came for {self._endpoint.idle_timeout_s:g} s")
        if isinstance(error, aiohttp.ServerTimeoutError):
            return TimeoutError(str(error))
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return error.certificate_error  # type: ignore[no-any-return]
        if isinstance(error, aiohttp.ClientConnectorError):
            return error.os_error  # type: ignore[no-any-return]
        if isinstance(error, aiohttp.ClientOSError):
            return OSError(*error.args)
        if isinstance(error, aiohttp.InvalidURL | httpx2.InvalidURL | httpx2.UnsupportedProtocol):
            return UnicodeError(str(error))
        if isinstance(error, aiohttp.ClientResponseError):
            return CutOffError(f"the response is not HTTP ({error.message})")
        if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
            why = error.__cause__
            if why is None or isinstance(why, OSError) or "Not enough data" in str(why):
                return CutOffError("the connection was closed before the answer was complete")
            return CutOffError(f"the response is not HTTP ({why})")
        if isinstance(error, aiohttp.ClientError | httpx2.HTTPError | openai.OpenAIError):
            return CutOffError(str(error))
        return error

    def _proxied(self, error: Exception) -> ProxyError | None:
        """A ProxyError if the proxy caused the error. None if the server caused it."""
        if self._proxy is None:
            return None
        import aiohttp
        import aiohttp_socks

        if isinstance(error, aiohttp.ClientHttpProxyError):
            why = f"it answers {error.status} {error.message}"
            return ProxyError(self._proxy.variable, why, refuses=error.status == REFUSES_USER)
        if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
            return ProxyError(self._proxy.variable, error.os_error.strerror or str(error.os_error))
        if isinstance(error, aiohttp_socks.ProxyTimeoutError):
            return ProxyError(self._proxy.variable, "it did not answer in time")
        if isinstance(error, aiohttp_socks.ProxyError | aiohttp_socks.ProxyConnectionError):
            return ProxyError(self._proxy.variable, str(error))
        return None


def extra_headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers in the settings. The value "$NAME" stands for the environment variable NAME.

    Raises UsageError if the variable is not set.
    """
    headers = {}
    for name, value in endpoint.extra_headers.items():
        if value.startswith("$"):
            text = os.environ.get(value[1:], "").strip()
            if not (text and text.isascii() and text.isprintable()):
                raise UsageError(
                    f"{value} is not set, or has characters that are not allowed in HTTP headers: "
                    f"set this environment variable to the value of the header {name}"
                )
            value = text
        headers[name] = value
    return headers


def _socks_transport(proxy: EnvironmentProxy) -> Any:
    """The transport for openai's aiohttp client, with connections through a SOCKS proxy."""
    try:
        from openai._vendor.httpx_aiohttp import AiohttpTransport
    except ImportError:
        raise UsageError(
            f"{proxy.variable} names a SOCKS proxy, which this release of openai does not support: set it to an "
            "HTTP proxy, or add the server's host to $NO_PROXY"
        ) from None
    import aiohttp
    import aiohttp_socks

    parts = urlsplit(proxy.url)
    protocol, resolves = SOCKS_PROXIES[proxy.scheme]

    def session() -> Any:
        connector = aiohttp_socks.ProxyConnector(
            host=parts.hostname,
            port=parts.port or PORTS[protocol],
            proxy_type=aiohttp_socks.ProxyType[protocol.upper()],
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            rdns=resolves,
            limit=0,
            keepalive_timeout=KEEP_IDLE_S,
            ssl=_trusted_certificates(),
        )
        return aiohttp.ClientSession(connector=connector)

    return AiohttpTransport(client=session, verify=_trusted_certificates())


def _with_latin_1(url: str) -> str:
    """The URL of a proxy for aiohttp, which encodes the user and the password in Latin-1.

    Other programs encode them in UTF-8, so the result holds one Latin-1 character for each byte of the UTF-8 text.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return url
    pair = [
        quote(unquote(text).encode().decode("latin-1"), safe="") for text in (parts.username, parts.password or "")
    ]
    return urlunsplit(parts._replace(netloc=f"{':'.join(pair)}@{parts.netloc.rpartition('@')[2]}"))


@cache
def _trusted_certificates() -> Any:
    """The certificate authorities of the system, or those in $SSL_CERT_FILE.

    If the system has no authorities, as in a minimal container, the authorities of the package certifi are used.

    Raises UsageError if the file cannot be read.
    """
    import httpx2

    try:
        context = httpx2.create_ssl_context()
    except OSError as error:
        named = os.environ.get("SSL_CERT_FILE", "of this system")
        raise UsageError(
            f"the certificates in $SSL_CERT_FILE ({named}) cannot be read ({system_reason(error)}): "
            "name a file with certificates in PEM format, or unset the variable"
        ) from None
    if not context.get_ca_certs():
        try:
            import certifi
        except ImportError:
            return context
        context.load_verify_locations(certifi.where())
    return context
