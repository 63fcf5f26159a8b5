"""Many requests, many faults, several servers: nothing is lost, nothing doubled, no server flooded."""

from __future__ import annotations

import http.server
import json
import random
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.fake_server import Asked, Behaviour, FakeServer, Fault, answer_of
from tests.support.fakes.trouble import MIXED, PASSING, mixed
from tests.support.shell import (
    Result,
    events,
    faq_tui,
    faq_tui_process,
    make_run,
    question,
    refused,
    rows,
    started,
    stored,
)

UNTIL = ("--until", "regenerate")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def second() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def run(folder: Path, *more: str, **env: str) -> Result:
    result = faq_tui("run", folder, *UNTIL, "--json", *more, **env)
    assert result.code == ExitCode.DONE, result
    return result


def notes(result: Result) -> list[str]:
    return [event["message"] for event in events(result) if event["event"] == "Note"]


@pytest.mark.slow
def test_1000_seeds_at_30_percent_mixed_faults(server: FakeServer, tmp_path: Path) -> None:
    """Ends by itself, all settled, 0 lost, 0 doubled, at most 1.6 requests a candidate.

    Each refusal halves the number of requests at the same time. Therefore a server with these faults gets about four
    requests at the same time, and most of the test would be the wait for silent streams. With several addresses, the
    waits run in parallel.
    """
    seeds = 1000
    server.behaviour = mixed(0.3, PASSING, words=6, thought_words=4, piece=16)
    # A busy machine is silent for a second now and then: then whole answers would be asked for again.
    source = "concurrency = 12\nretries = 12\nretry_wait_s = 0.02\nidle_timeout_s = 2.5"
    folder = many(tmp_path / "run", server.urls(8), seeds, source, seed_keys=f"count = {seeds}")
    result = run(folder)
    everything = {(question(s), n) for s in range(seeds) for n in range(3)}
    kept = rows(
        folder,
        "SELECT s.position, c.number - 1, c.answer, c.flags FROM candidates c JOIN seeds s ON s.id = c.seed_id",
    )
    assert stored(folder) == everything and len(kept) == len(everything)
    assert all(answer == answer_of(question(s), n, 6) and flags == "[]" for s, n, answer, flags in kept)
    stats = server.stats()
    assert set(stats.finished.values()) == {1}, "an answer that came whole is not asked for again"
    assert stats.asked.total() <= 1.6 * len(everything)
    done = Counter((e["seed_id"], e["index"]) for e in events(result) if e["event"] == "CandidateDone")
    assert len(done) == len(everything) and set(done.values()) == {1}
    assert rows(folder, "SELECT * FROM failed_candidates") == []


@pytest.mark.slow
def test_killed_again_and_again_at_any_moment(server: FakeServer, tmp_path: Path) -> None:
    """`benchmarks/regenerate.py --kills 50` does the same fifty times."""
    from tests.support.kill_runs import killed_runs

    outcome = killed_runs(server, tmp_path / "run", kills=5, seeds=75, dice=random.Random(7))
    assert outcome.regenerated == 0 and outcome.lost == 0 and outcome.doubled == 0
    assert outcome.kills == 5 and outcome.in_the_middle >= 3 and outcome.faults > 20


# --- several servers ---


def many(folder: Path, urls: list[str], seeds: int = 10, source: str = "concurrency = 4", **more: str) -> Path:
    make_run(folder, urls[0], seeds=seeds, source=source, **more)
    settings = folder / "faq.toml"
    listed = ", ".join(f'"{url}"' for url in urls)
    settings.write_text(settings.read_text().replace(f'base_url = "{urls[0]}"', f"base_url = [{listed}]", 1))
    return folder


def test_two_servers_share_the_work_by_free_slots(server: FakeServer, second: FakeServer, tmp_path: Path) -> None:
    """One of them is four times as fast."""
    server.behaviour, second.behaviour = Behaviour(pieces_per_s=400), Behaviour(pieces_per_s=100)
    run(many(tmp_path / "run", [server.url, second.url], seeds=20))
    asked = server.stats().asked + second.stats().asked
    assert asked == {(question(s), n): 1 for s in range(20) for n in range(3)}
    assert server.stats().most_in_flight == second.stats().most_in_flight == 4
    assert server.stats().asked.total() > 1.5 * second.stats().asked.total() > 0


@pytest.mark.parametrize("trouble", ["down", "wrong model", "wrong key"])
def test_a_server_that_is_no_use_is_left_out_with_a_note(
    server: FakeServer, second: FakeServer, tmp_path: Path, trouble: str
) -> None:
    url, said = second.url, f"{second.url} does not serve model 'fake-8b'"
    if trouble == "down":
        url, said = "http://127.0.0.1:9/v1", "cannot reach http://127.0.0.1:9/v1"
    elif trouble == "wrong model":
        second.behaviour = Behaviour(models=("other",))
    else:
        second.behaviour, said = Behaviour(api_key="sk-other"), f"{second.url} refused a request without a key"
    result = run(many(tmp_path / "run", [url, server.url]))
    assert server.stats().asked.total() == 30
    (note,) = [note for note in notes(result) if "going on with the other servers" in note]
    assert note.startswith(said)


def test_a_server_that_dies_in_the_middle_loses_nothing(server: FakeServer, tmp_path: Path) -> None:
    server.behaviour = Behaviour(pieces_per_s=100)
    dying, up = FakeServer(Behaviour(pieces_per_s=100)), threading.Event()

    def live() -> None:
        with dying:
            up.set()
            dying.wait_for(lambda stats: stats.finished.total() >= 4)

    life = threading.Thread(target=live)
    life.start()
    assert up.wait(10)
    folder = many(tmp_path / "run", [dying.url, server.url], source="concurrency = 4\nretry_wait_s = 0.05")
    result = run(folder)
    life.join()
    assert len(stored(folder)) == 30
    assert any("cannot reach" in note and "going on with the other servers" in note for note in notes(result))


def test_no_server_at_all_is_unreachable(tmp_path: Path) -> None:
    folder = many(tmp_path / "run", ["http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"])
    assert "cannot reach http://127.0.0.1:9/v1" in refused(ExitCode.UNREACHABLE, "run", folder, *UNTIL)


# --- flow ---


@pytest.mark.slow
def test_an_overloaded_server_gets_fewer_requests_at_once(server: FakeServer, tmp_path: Path) -> None:
    """It says 429 to all above three at a time: soon there are hardly any."""

    def fault(asked: Asked) -> Fault | None:
        return Fault("status", 429) if server._stats.in_flight >= 3 else None

    server.behaviour = Behaviour(fault=fault, pieces_per_s=200)
    source = "concurrency = 24\nretries = 50\nretry_wait_s = 0.01"
    run(make_run(tmp_path / "run", server.url, seeds=60, source=source))
    refusals = server.stats().asked.total() - 180
    # Each refusal halves what is sent at once; at the same 24 at once most requests would be refused.
    assert refusals < 180


def test_begun_seeds_are_finished_before_others_begin(server: FakeServer, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", server.url, seeds=6, source="candidates = 1")
    run(folder)
    make_run(folder, server.url, seeds=12, source="candidates = 2\nconcurrency = 1")
    server.requests.clear()
    run(folder)
    order = [asked.question for asked in server.requests]
    assert order[:6] == [question(n) for n in range(6)], "their second candidates come first"
    assert order[6:] == [question(n) for n in range(6, 12) for _ in range(2)]


def test_a_candidate_that_waits_for_its_next_try_leaves_no_slot_empty(server: FakeServer, tmp_path: Path) -> None:
    """One request in two is told to come back in half a second: the other slots are used meanwhile."""
    server.behaviour = Behaviour(
        fault=lambda asked: Fault("status", 500) if asked.attempt == 1 and asked.number == 0 else None
    )
    source = "concurrency = 2\nretry_wait_s = 1"
    result = run(make_run(tmp_path / "run", server.url, seeds=4, source=source))
    kinds = [(e["event"], e.get("index")) for e in events(result)]
    first_done = next(n for n, kind in enumerate(kinds) if kind[0] == "CandidateDone")
    waiting = sum(kind == ("CandidateRetried", 1) for kind in kinds[:first_done])
    assert waiting <= 2, "others are answered while the first wait"
    assert len(stored(tmp_path / "run")) == 12


def test_retry_after_may_be_a_date(server: FakeServer, tmp_path: Path) -> None:
    from email.utils import formatdate

    soon = formatdate(time.time() + 2, usegmt=True)
    fault = Fault("status", 429, retry_after=soon)
    server.behaviour = Behaviour(fault=lambda asked: fault if asked.attempt == 1 else None)
    result = run(make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1"))
    (retried,) = [e for e in events(result) if e["event"] == "CandidateRetried"]
    assert 0 < retried["wait_s"] <= 2


@pytest.mark.parametrize("stage", ["probe", "stream", "retry"])
@pytest.mark.slow
def test_a_stop_closes_everything_at_once(server: FakeServer, tmp_path: Path, stage: str) -> None:
    """Also where the server is still being looked at, and where a candidate waits a minute for its next try."""
    if stage == "probe":
        server.behaviour = Behaviour(models_fault=Fault("silence"))
    elif stage == "stream":
        server.behaviour = Behaviour(pieces_per_s=1)
    else:
        server.behaviour = Behaviour(fault=lambda asked: Fault("status", 429, retry_after="60"))
    folder = make_run(tmp_path / "run", server.url, seeds=4)
    with started("run", folder, *UNTIL, "--json") as process:
        deadline = time.monotonic() + 30
        assert process.stdout is not None
        if stage == "probe":
            while b'"regenerate"' not in process.stdout.readline():
                assert time.monotonic() < deadline
        else:
            server.wait_for(lambda stats: stats.asked.total() > 0)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(20) == ExitCode.STOPPED
        assert time.monotonic() - began < 8, "not the minute, nor the whole time of the probe"
    server.wait_for(lambda stats: stats.in_flight == 0, 5)


# --- what failed stays known ---


def test_failed_candidates_are_known_after_a_restart_until_they_are_asked_again(
    server: FakeServer, tmp_path: Path
) -> None:
    server.behaviour = Behaviour(fault=lambda asked: Fault("error") if asked.number == 1 else None)
    folder = make_run(tmp_path / "run", server.url, seeds=2, source="retries = 1\nretry_wait_s = 0.01")
    refused(ExitCode.FAILED, "run", folder, *UNTIL)
    query = "SELECT number, reason, requests FROM failed_candidates"
    assert rows(folder, query) == [(2, "made-up trouble", 2)] * 2
    source = json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]
    assert (source["candidates"], source["failed"]) == (4, 2)
    server.behaviour = Behaviour()
    run(folder)
    assert rows(folder, query) == []
    assert json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]["failed"] == 0


# --- TLS, and what is no server of ours ---


def test_a_certificate_that_nobody_trusts_is_one_sentence(tmp_path: Path) -> None:
    with tls_server(tmp_path) as url:
        folder = make_run(tmp_path / "run", url)
        began = time.monotonic()
        said = refused(ExitCode.UNREACHABLE, "run", folder, *UNTIL)
        assert said.startswith(f"the certificate of {url} is not trusted (self")
        assert "$SSL_CERT_FILE" in said and time.monotonic() - began < 15


def test_https_to_a_server_that_speaks_plain_http_is_one_sentence(tmp_path: Path) -> None:
    with web_server() as plain:
        url = plain.replace("http://", "https://")
        said = refused(ExitCode.UNREACHABLE, "run", make_run(tmp_path / "run", url), *UNTIL)
    assert said.startswith(f"no TLS connection to {url}: if the server speaks plain HTTP, write http://")


def test_http_to_a_server_that_speaks_tls_is_one_sentence(tmp_path: Path) -> None:
    with tls_server(tmp_path) as url:
        plain = url.replace("https://", "http://")
        said = refused(ExitCode.UNREACHABLE, "run", make_run(tmp_path / "run", plain), *UNTIL)
        assert said.startswith((f"{plain} does not answer", f"cannot reach {plain}")) and "https://" in said


def test_a_trusted_certificate_is_no_trouble(tmp_path: Path) -> None:
    """The whole way over TLS: it fails only where the stand-in has no answer."""
    with tls_server(tmp_path) as url:
        folder = make_run(tmp_path / "run", url)
        result = faq_tui_process("run", folder, *UNTIL, SSL_CERT_FILE=str(tmp_path / "cert.pem"))
        assert result.code == ExitCode.UNREACHABLE and f"{url} offers no chat completions" in result.err


@contextmanager
def tls_server(folder: Path) -> Iterator[str]:
    """Answers 404 to all, with a certificate of its own making."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with web_server(context) as url:
        yield url.replace("http://", "https://")


@contextmanager
def web_server(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotFound)
    if tls is not None:
        found.socket = tls.wrap_socket(found.socket, server_side=True)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{found.server_port}/v1"
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


class NotFound(http.server.BaseHTTPRequestHandler):
    def answer(self) -> None:
        self.send_error(404)

    do_GET = do_POST = answer

    def log_message(self, format: str, *arguments: object) -> None:
        pass


# --- the key ---

KEY = "sk-planted-7h15-15-4-s3cr3t-k3y"


def test_the_key_is_nowhere_in_a_run_that_met_every_fault(server: FakeServer, tmp_path: Path) -> None:
    """Nor in what was printed, nor in a traceback; also where the server throws it back at us."""
    told = [
        Fault("status", 500, f"bad {KEY}"),
        Fault("error", message=f"{'x' * 190} {KEY}"),
        Fault("status", 400, KEY),
    ]
    source = 'api_key_env = "FAKE_KEY"\nretries = 1\nretry_wait_s = 0'
    folder = make_run(tmp_path / "run", server.url, seeds=3, source=source)
    shown = []
    for fault in (*told, *MIXED):
        if fault.kind in ("stall",):
            continue
        server.behaviour = Behaviour(api_key=KEY, fault=lambda asked, fault=fault: fault)  # type: ignore[misc]
        shown.append(faq_tui("run", folder, *UNTIL, "--json", FAKE_KEY=KEY))
    server.behaviour = Behaviour(api_key=KEY)
    shown += [faq_tui("run", folder, *UNTIL, FAKE_KEY=KEY), faq_tui("status", folder, "--json", FAKE_KEY=KEY)]
    assert shown[-1].code == shown[-2].code == ExitCode.DONE
    assert all(asked.key == KEY for asked in server.requests) and server.requests
    parts = [KEY, KEY[:12]]
    assert not any(part in text for part in parts for result in shown for text in (result.out, result.err))
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert [path for path in written if any(part.encode() in path.read_bytes() for part in parts)] == []
