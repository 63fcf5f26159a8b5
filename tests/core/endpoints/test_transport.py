"""What the client does on the wire: against real servers and proxies on loopback that answer byte by byte."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import ssl
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.endpoints import Client, client, transport
from faq_tui.core.endpoints.client import NotAnApiError, StatusError
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.endpoints.proxies import proxy_for
from faq_tui.core.endpoints.transport import CutOffError, IdleError, ProxyError
from faq_tui.core.settings import Endpoint
from tests.support.fakes.raw_http import RawServer, http_proxy, ok, raw_server, socks_proxy

LISTING = json.dumps({"data": [{"id": "m"}]}).encode()
FAR = "http://elder.example:8000/v1"  # a proxy knows where that is
KEY = "sk-a-key-of-this-test"
PROXIES = [f"{name}_proxy" for name in ("http", "https", "all", "no")]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def endpoint(url: str, **more: Any) -> Endpoint:
    return Endpoint(base_url=url, model="m", **{"connect_timeout_s": 5, "idle_timeout_s": 5, **more})


async def listing(url: str, **more: Any) -> Any:
    async with Client(endpoint(url, **more)) as asking:
        return await asking.get_json("/models")


async def body_of(server: RawServer) -> bytes:
    async with Client(endpoint(server.url)) as asking, asking.request("GET", "/models") as response:
        return b"".join([piece async for piece in response.pieces()])


# --- responses ---


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\nhello", None),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\nhello", None),
        (b"SSH-2.0-OpenSSH_9.9\r\n", None),
        (b"", None),
    ],
)
async def test_every_kind_of_response(answer: bytes, body: bytes | None) -> None:
    """None: it did not come to its end, and that is said at once."""
    async with raw_server(answer) as server:
        if body is not None:
            assert await body_of(server) == body
            return
        with pytest.raises((CutOffError, ConnectionResetError)) as caught:
            await body_of(server)
        assert explain(caught.value, endpoint(server.url)) is not None


async def test_a_server_that_falls_silent_in_mid_answer() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    with pytest.raises(IdleError, match=r"nothing came for 0\.3 s"):
        await listing(url, idle_timeout_s=0.3)
    listening.close()


async def test_a_server_that_accepts_no_tls_in_time() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    with pytest.raises(TimeoutError) as caught:
        await listing(url, connect_timeout_s=0.3)
    fault = explain(caught.value, endpoint(url))
    assert fault is not None and "does it speak TLS" in fault.advice
    listening.close()


@pytest.mark.parametrize("status", [201, 204, 301, 307, 400, 404, 418, 503])
async def test_a_refusal_has_its_status_message_and_body(status: int) -> None:
    body = b'{"error": {"message": "no  such thing", "param": "top_k"}}'
    head = f"HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: {0 if status == 204 else len(body)}\r\n\r\n"
    async with raw_server(head.encode() + (b"" if status == 204 else body)) as server:
        with pytest.raises(StatusError) as caught:
            await listing(server.url)
    assert (caught.value.status, caught.value.retry_after) == (status, "7")
    if status != 204:
        assert caught.value.message == "no such thing" and caught.value.body["error"]["param"] == "top_k"


PAGE = (
    b"<html><head><title>Oops</title><style>b {}</style></head><body><b>400</b> no&nbsp;top_k<br>here</body></html>"
)


@pytest.mark.parametrize(
    ("status", "kind", "body", "message"),
    [
        (400, "text/html; charset=utf-8", PAGE, "400 no top_k here"),
        (422, "application/xml", b"<Error><Message>seed</Message></Error>", "seed"),
        (400, "application/octet-stream", PAGE, ""),
        (502, "text/html", PAGE, ""),
    ],
)
async def test_the_text_of_a_refusal_that_is_a_page(status: int, kind: str, body: bytes, message: str) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    async with raw_server(head.encode() + body) as server:
        with pytest.raises(StatusError) as caught:
            await listing(server.url)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ("Retry-After: 60\r\nretry-after-ms: 300", 0.3),
        ("retry-after-ms: 1500", 1.5),
        ("Retry-After: 300ms", 0.3),
        ("Retry-After: 2s", 2.0),
        ("Retry-After: 7\r\nretry-after-ms: soon", 7.0),
        ("Retry-After: soon", None),
    ],
)
async def test_the_wait_that_a_busy_server_asks_for(headers: str, wait_s: float | None) -> None:
    async with raw_server(f"HTTP/1.1 429 X\r\n{headers}\r\nContent-Length: 0\r\n\r\n".encode()) as server:
        with pytest.raises(StatusError) as caught:
            await listing(server.url)
        fault = explain(caught.value, endpoint(server.url))
    assert fault is not None and fault.wait_s == wait_s


async def test_a_refusal_that_has_no_end_is_not_read_to_it() -> None:
    async with raw_server(b"HTTP/1.1 500 X\r\nContent-Length: 999999999\r\n\r\n" + b"x" * (1 << 20)) as server:
        with pytest.raises(StatusError, match="HTTP 500"):
            await listing(server.url)


async def test_a_refusal_that_breaks_off_keeps_its_status() -> None:
    async with raw_server(b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n{") as server:
        with pytest.raises(StatusError) as caught:
            await listing(server.url)
    assert (caught.value.status, caught.value.retry_after) == (429, "7")


# --- compression ---


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_answer(name: str, pack: Callable[[bytes], bytes]) -> None:
    async with raw_server(ok(pack(LISTING), "application/json", f"Content-Encoding: {name}")) as server:
        assert await listing(server.url) == json.loads(LISTING)
    assert "\r\naccept-encoding: gzip, deflate\r\n" in server.heads[0].lower()


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "made-up"])
async def test_an_encoding_that_nobody_asked_for_is_not_unpacked(name: str) -> None:
    async with raw_server(ok(LISTING, "application/json", f"Content-Encoding: {name}")) as server:
        with pytest.raises(CutOffError, match="but faq-tui did not ask for this"):
            await listing(server.url)


async def test_an_answer_that_is_not_compressed_as_it_says() -> None:
    async with raw_server(ok(LISTING, "application/json", "Content-Encoding: gzip")) as server:
        with pytest.raises(CutOffError, match="compression of the response does not match its header"):
            await listing(server.url)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_small_answer_that_unpacks_to_gigabytes_is_given_up(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_JSON_BYTES", 1 << 20)
    monkeypatch.setattr(client, "MOST_STREAM_BYTES", 1 << 20)
    packed = gzip.compress(bytes(64 << 20))
    head = f"HTTP/1.1 {status} X\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    async with raw_server(head.encode() + packed) as server:
        with pytest.raises(NotAnApiError if status == 200 else StatusError):
            await listing(server.url)
        if status == 200:
            with pytest.raises(CutOffError, match="is too long"):
                await body_of(server)


# --- what is sent ---


@pytest.mark.parametrize(
    ("base", "targets"),
    [
        ("/v1", ("/v1/models", "/v1/chat/completions")),
        ("/v1/", ("/v1/models", "/v1/chat/completions")),
        ("", ("/models", "/chat/completions")),
        (
            "/v1?api-version=2024-10-21",
            ("/v1/models?api-version=2024-10-21", "/v1/chat/completions?api-version=2024-10-21"),
        ),
        ("/v1?a=1&a=2&b=c%20d", ("/v1/models?a=1&a=2&b=c%20d", "/v1/chat/completions?a=1&a=2&b=c%20d")),
    ],
)
async def test_the_query_of_base_url_is_sent_with_every_request(base: str, targets: tuple[str, str]) -> None:
    async with (
        raw_server(ok(LISTING), keeps_open=True) as server,
        Client(endpoint(server.url.removesuffix("/v1") + base)) as asking,
    ):
        await asking.get_json("/models")
        async with asking.request("POST", "/chat/completions", {"messages": []}) as response:
            await response.json()
    assert [head.split(" ")[1] for head in server.heads] == list(targets)


async def test_nothing_about_this_machine_or_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-openai")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-openai")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-of-openai\nX-Tenant: of-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://of-openai.example")
    async with raw_server(ok(LISTING)) as server:
        await listing(server.url, api_key_env="FAKE_KEY")
    (head,) = server.heads
    assert f"\r\nauthorization: bearer {KEY}\r\n" in head.lower() and "\r\nuser-agent: faq-tui\r\n" in head.lower()
    assert "of-openai" not in head and "stainless" not in head.lower()


async def test_headers_of_one_request_are_sent_with_it() -> None:
    async with raw_server(ok(LISTING), keeps_open=True) as server, Client(endpoint(server.url)) as asking:
        for headers in ({"X-Tenant": "a"}, None):
            async with asking.request("POST", "/chat/completions", {}, headers) as response:
                await response.json()
    assert ["x-tenant: a" in head.lower() for head in server.heads] == [True, False]


@pytest.mark.parametrize("named", [True, False])
async def test_a_password_in_base_url(named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent as Basic authorization, unless a key is named."""
    monkeypatch.setenv("FAKE_KEY", KEY)
    async with raw_server(ok(LISTING)) as server:
        url = server.url.replace("127", "me:p%40ss@127")
        await listing(url, api_key_env="FAKE_KEY" if named else None)
    basic = f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    (sent,) = [line for line in server.heads[0].split("\r\n") if line.lower().startswith("authorization:")]
    assert sent.partition(": ")[2] == (f"Bearer {KEY}" if named else basic)


async def test_half_a_character_in_a_question_is_sent_as_an_escape() -> None:
    async with (
        raw_server(ok(LISTING)) as server,
        Client(endpoint(server.url)) as asking,
        asking.request("POST", "/chat/completions", {"content": "\ud83e"}) as response,
    ):
        await response.json()
    assert len(server.heads) == 1


# --- connections ---


async def test_every_request_has_its_own_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with raw_server(ok(LISTING), keeps_open=True) as server:
        async with Client(endpoint(server.url)) as asking:
            for _ in range(3):
                await asking.get_json("/models")
        assert (len(server.heads), server.connections) == (3, 3), "although the server would keep it open"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_more_requests_at_once_than_a_pool_has_by_default() -> None:
    """aiohttp's own limit is 100: the others would wait, and their time would run out."""
    all_there, there = asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there
        await reader.readuntil(b"\r\n\r\n")
        there += 1
        if there == 150:
            all_there.set()
        await all_there.wait()
        writer.write(ok(LISTING))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=200)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    async with Client(endpoint(url, connect_timeout_s=30, idle_timeout_s=30)) as asking:
        await asyncio.gather(*(asking.get_json("/models") for _ in range(150)))
    listening.close()


async def test_a_cancelled_request_closes_its_connection_at_once() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
        await reader.read()
        gone.set()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    async with Client(endpoint(url)) as asking:
        task = asyncio.create_task(asking.get_json("/models"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 5)
    listening.close()


# --- proxies ---


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "ALL_PROXY"])
async def test_a_proxy_with_a_password(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(ok(LISTING)) as server, http_proxy(server.port, "me", "p@ss:word") as proxy:
        monkeypatch.setenv(variable, f"http://me:p%40ss%3Aword@127.0.0.1:{proxy.port}")
        assert await listing(FAR) == json.loads(LISTING)
    assert proxy.asked == [f"{FAR}/models"]


async def test_a_proxy_that_does_not_know_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(ok(LISTING)) as server, http_proxy(server.port, "me", "right") as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:wr0ng@127.0.0.1:{proxy.port}")
        with pytest.raises(ProxyError) as caught:
            await listing("https://elder.example/v1")
        fault = explain(caught.value, endpoint("https://elder.example/v1"))
    assert proxy.asked == ["elder.example:443"] and server.heads == []
    assert fault is not None and "through the proxy in $https_proxy (it answers 407" in fault.advice
    assert "wr0ng" not in fault.advice and not fault.retry and not fault.may_be_down
    assert "correct the user and the password" in fault.advice


async def test_a_proxy_that_refuses_a_plain_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(ok(LISTING)) as server, http_proxy(server.port, "me", "right") as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:wr0ng@127.0.0.1:{proxy.port}")
        with pytest.raises(StatusError) as caught:
            await listing(FAR)
        fault = explain(caught.value, endpoint(FAR))
    assert fault is not None and fault.unreachable and not fault.retry
    assert "through the proxy in $http_proxy (it answers 407): correct the user" in fault.advice


@pytest.mark.parametrize("password", ["wörd", "5 €", "пароль", "a:b@c/d?e#f%"])
async def test_a_password_with_any_characters(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(ok(LISTING)) as server, http_proxy(server.port, "mé", password) as proxy:
        monkeypatch.setenv("http_proxy", f"http://m%C3%A9:{quote(password, safe='')}@127.0.0.1:{proxy.port}")
        assert await listing(FAR) == json.loads(LISTING)


@pytest.mark.parametrize("address", ["http://[bad", "http://", "http://:0", "[::1", "http://host:port"])
async def test_an_address_that_is_no_proxy(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", address)
    with pytest.raises(UsageError, match=r"\$http_proxy holds no address of a proxy"):
        await listing(FAR)


async def test_tls_through_a_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    names = ["-subj", "/CN=elder.example", "-addext", "subjectAltName=DNS:elder.example"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    transport._trusted_certificates.cache_clear()
    try:
        async with raw_server(ok(LISTING), tls=context) as server:
            async with http_proxy(server.port, "me", "word") as proxy:
                monkeypatch.setenv("HTTPS_PROXY", f"me:word@127.0.0.1:{proxy.port}")
                assert await listing("https://elder.example/v1") == json.loads(LISTING)
                assert proxy.asked == ["elder.example:443"]
                assert "proxy-authorization" not in server.heads[0].lower()
            async with socks_proxy(server.port, "me", "word") as proxy:
                monkeypatch.setenv("HTTPS_PROXY", f"socks5h://me:word@127.0.0.1:{proxy.port}")
                assert await listing("https://elder.example/v1") == json.loads(LISTING)
                assert proxy.asked == ["elder.example:443"]
    finally:
        transport._trusted_certificates.cache_clear()


@pytest.mark.parametrize("scheme", ["socks5h", "socks"])
async def test_a_socks_proxy_resolves_the_name(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(ok(LISTING)) as server, socks_proxy(server.port, "me", "p@ss") as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:p%40ss@127.0.0.1:{proxy.port}")
        assert await listing(FAR) == json.loads(LISTING)
    assert proxy.asked == ["elder.example:8000"]


async def test_a_socks_proxy_of_names_that_are_resolved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(ok(LISTING)) as server, socks_proxy(server.port) as proxy:
        monkeypatch.setenv("http_proxy", f"socks5://127.0.0.1:{proxy.port}")
        assert await listing("http://192.0.2.7:8000/v1") == json.loads(LISTING)
    assert proxy.asked == ["192.0.2.7:8000"]


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5h://127.0.0.1:9"])
@pytest.mark.parametrize("url", [FAR, "https://elder.example/v1"])
async def test_a_dead_proxy_is_named_by_its_variable(proxy: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ProxyError) as caught:
        await listing(url)
    fault = explain(caught.value, endpoint(url))
    assert fault is not None and fault.retry and not fault.connected
    assert f"cannot reach {url} through the proxy in $ALL_PROXY (" in fault.advice


@pytest.mark.parametrize("address", ["ftp://127.0.0.1:21", "socks9://here:1", "http://", "http://here:port"])
def test_a_proxy_that_is_none_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(UsageError, match=r"\$HTTPS_PROXY"):
        Client(endpoint("https://elder.example/v1"))
    Client(endpoint(FAR))


def test_hosts_that_no_proxy_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert proxy_for(FAR) is not None
    for near in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"):
        assert proxy_for(near) is None
    monkeypatch.setenv("no_proxy", "other.example,.elder.example,elder.example")
    assert proxy_for(FAR) is None and proxy_for("http://a.elder.example/v1") is None
    monkeypatch.setenv("no_proxy", "*")
    assert proxy_for("http://third.example/v1") is None


def test_missing_certificates_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    transport._trusted_certificates.cache_clear()
    with pytest.raises(UsageError) as caught:
        transport._trusted_certificates()
    assert str(caught.value) == (
        f"the certificates in $SSL_CERT_FILE ({tmp_path / 'none.pem'}) cannot be read (No such file or directory): "
        "name a file with certificates in PEM format, or unset the variable"
    )
