"""A server that goes down while it is asked, and comes back on the same port: no candidate pays for that."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.endpoints import waiting
from faq_tui.core.settings import Endpoint
from tests.support.fake_server import Asked, Behaviour, FakeServer, Fault, Key
from tests.support.judge_bench import is_judge, judged, judging, marks, prompt_of
from tests.support.shell import Result, events, faq_tui, make_run, question, refused, rows, started, stored

UNTIL = ("--until", "regenerate")
SLOW = Behaviour(pieces_per_s=60)
EVERYTHING = {(question(s), n) for s in range(10) for n in range(3)}

# What stands in the place of the server while it is down; None: nothing listens.
OUTAGES = {
    "refused": None,
    "reset": Fault("reset"),
    "502": Fault("status", 502, "bad gateway"),
    "503": Fault("status", 503, "Loading model"),
    "504": Fault("status", 504, "gateway timeout"),
    "hangs, then refused": Fault("silence"),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PROBE_TIMEOUT_S", 3.0)
    monkeypatch.setattr(waiting, "FIRST_PROBE_S", 0.2)


class Restarted:
    """A server that is killed after `after` answers, and started again on its port."""

    def __init__(self, behaviour: Behaviour, after: int, down_s: float, instead: Fault | None = None) -> None:
        self.behaviour, self.after, self.down_s, self.instead = behaviour, after, down_s, instead
        self.asked, self.finished = Counter[Key](), Counter[Key]()
        self.open_then = 0  # streams in flight when it was killed
        self.asked_while_down = 0
        self.url = ""
        self._up, self._done = threading.Event(), threading.Event()

    def live(self) -> None:
        port = self._serve(0, lambda server: server.wait_for(lambda stats: stats.finished.total() >= self.after))
        if self.instead is not None:
            trouble = Behaviour(fault=lambda asked: self.instead, models_fault=self.instead)
            with FakeServer(trouble, port) as server:
                self._done.wait(self.down_s)
                self.asked_while_down = len(server.requests)
        else:
            self._done.wait(self.down_s)
        self._serve(port, lambda server: self._done.wait(60))

    def _serve(self, port: int, until: Callable[[FakeServer], Any]) -> int:
        with FakeServer(self.behaviour, port) as server:
            self.url = server.url
            self._up.set()
            until(server)
            stats = server.stats()
            self.asked += stats.asked
            self.finished += stats.finished
            self.open_then = max(self.open_then, stats.in_flight)
        return server.port

    @contextmanager
    def running(self) -> Iterator[str]:
        life = threading.Thread(target=self.live, daemon=True)
        life.start()
        assert self._up.wait(10)
        try:
            yield self.url
        finally:
            self._done.set()
            life.join(60)


def named(result: Result, name: str) -> list[dict[str, Any]]:
    return [event for event in events(result) if event["event"] == name]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in ("refused", "503") else pytest.mark.slow) for kind in OUTAGES]
)
def test_a_restart_costs_only_the_streams_that_were_open(tmp_path: Path, kind: str) -> None:
    """Also with no retries at all, and with one event for each step."""
    server = Restarted(SLOW, after=6, down_s=1.2, instead=OUTAGES[kind])
    source = "concurrency = 4\nretries = 0\nidle_timeout_s = 2\npatience_s = 30"
    with server.running() as url:
        folder = make_run(tmp_path / "run", url, seeds=10, source=source)
        result = faq_tui("run", folder, *UNTIL, "--json")
    assert result.code == ExitCode.DONE, result
    assert stored(folder) == EVERYTHING and rows(folder, "SELECT * FROM failed_candidates") == []
    assert set(server.finished.values()) == {1}, "what was answered is not asked for again"
    assert server.asked.total() <= len(EVERYTHING) + 4
    waits, (back,) = named(result, "ServerWaiting"), named(result, "ServerBack")
    assert len({event["since"] for event in waits}) == 1 and waits[0]["url"] == back["url"] == url
    assert all(event["next_probe"] <= event["gives_up"] for event in waits)
    assert 0 < waits[0]["gives_up"] - waits[0]["since"] - 30 < 3
    assert 0.5 < back["waited_s"] < 10
    assert {event["attempt"] for event in named(result, "CandidateRetried")} <= {0}
    assert result.err.count(f"waiting for {url}") == result.err.count("answers again after") == 1
    assert server.asked_while_down <= 8, "nobody sends while the server is down, except the probes"


@pytest.mark.usefixtures("quick")
def test_another_server_of_the_source_goes_on_and_the_first_comes_back(tmp_path: Path) -> None:
    server = Restarted(Behaviour(pieces_per_s=100), after=3, down_s=0.5)
    with FakeServer(Behaviour(pieces_per_s=30)) as other, server.running() as url:
        folder = make_run(tmp_path / "run", url, seeds=20, source="concurrency = 3\nretries = 0")
        settings = folder / "faq.toml"
        settings.write_text(settings.read_text().replace(f'"{url}"', f'["{url}", "{other.url}"]'))
        result = faq_tui("run", folder, *UNTIL, "--json")
    assert result.code == ExitCode.DONE and len(stored(folder)) == 60
    assert all(event["gives_up"] is None for event in named(result, "ServerWaiting"))
    assert [event["url"] for event in named(result, "ServerBack")] == [url]
    (note,) = [e["message"] for e in named(result, "Note") if "going on with the other servers" in e["message"]]
    assert note.startswith(f"cannot reach {url}") and "waiting for" not in result.err
    assert server.asked.total() > 12, "it gets requests again"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("patience", [0, 1])
def test_a_server_that_stays_down_ends_the_stage_when_the_patience_ends(tmp_path: Path, patience: int) -> None:
    server = Restarted(SLOW, after=6, down_s=300)
    with server.running() as url:
        folder = make_run(tmp_path / "run", url, seeds=10, source=f"concurrency = 4\npatience_s = {patience}")
        began = time.monotonic()
        said = refused(ExitCode.UNREACHABLE, "run", folder, *UNTIL)
    assert said.startswith(f"cannot reach {url} (Connection refused)") and "finished work is kept" in said
    assert ("it stayed down for 1 s (patience_s)" in said) == bool(patience)
    assert time.monotonic() - began < 60, "not the ten minutes of the default"
    assert 6 <= len(stored(folder)) < 30


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_gateway_that_lists_models_while_its_server_is_down(tmp_path: Path) -> None:
    """All tries fail, so that the next probes ask for an answer."""
    down_until = [0.0]

    def fault(asked: object) -> Fault | None:
        if not down_until[0] and len(server.requests) > 4:
            down_until[0] = time.monotonic() + 6
        return Fault("status", 502, "no backend") if time.monotonic() < down_until[0] else None

    with FakeServer(Behaviour(pieces_per_s=60, fault=fault)) as server:
        source = "concurrency = 1\nretries = 4\nretry_wait_s = 0.4\npatience_s = 20"
        folder = make_run(tmp_path / "run", server.url, seeds=3, source=source)
        result = faq_tui("run", folder, *UNTIL, "--json")
    assert result.code == ExitCode.DONE and len(stored(folder)) == 9, result
    assert len(named(result, "ServerBack")) == 1 and not named(result, "CandidateFailed")


@pytest.mark.usefixtures("quick")
def test_a_server_that_comes_back_with_another_model_is_named_at_once(tmp_path: Path) -> None:
    with FakeServer(SLOW) as server:

        def change() -> None:
            server.wait_for(lambda stats: stats.finished.total() >= 3)
            server.behaviour = Behaviour(fault=lambda asked: Fault("reset"), models_fault=Fault("reset"))
            time.sleep(0.6)
            server.behaviour = Behaviour(models=("other-7b",))

        thread = threading.Thread(target=change)
        thread.start()
        folder = make_run(tmp_path / "run", server.url, seeds=10, source="concurrency = 2\npatience_s = 60")
        said = refused(ExitCode.UNREACHABLE, "run", folder, *UNTIL)
        thread.join()
    assert "does not serve model 'fake-8b'" in said


# --- a server that is down when the stage begins ---


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("why", ["patience_s is set", "it answered before"])
def test_a_server_that_still_loads_is_waited_for(tmp_path: Path, why: str) -> None:
    with FakeServer() as server:
        folder = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1")
        port = server.port
        if why == "it answered before":
            assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    more = "patience_s = 30" if why == "patience_s is set" else ""
    make_run(folder, server.url, seeds=3, source=f"candidates = 1\n{more}")

    def load() -> None:
        while not any(b"ServerWaiting" in path.read_bytes() for path in folder.glob("jobs/*/events.jsonl")):
            time.sleep(0.1)
        with FakeServer(port=port):
            loaded.wait(30)

    loaded = threading.Event()
    thread = threading.Thread(target=load)
    thread.start()
    result = faq_tui("run", folder, *UNTIL, "--json")
    loaded.set()
    thread.join()
    assert result.code == ExitCode.DONE and len(stored(folder)) == 3, result
    assert len(named(result, "ServerBack")) == 1


def test_another_url_than_the_one_that_answered_is_not_waited_for(tmp_path: Path) -> None:
    """It may have a typing error."""
    with FakeServer() as server:
        folder = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1")
        assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    make_run(folder, "http://127.0.0.1:9/v1", seeds=3, source="candidates = 1")
    began = time.monotonic()
    assert refused(ExitCode.UNREACHABLE, "run", folder, *UNTIL).startswith("cannot reach http://127.0.0.1:9/v1")
    assert time.monotonic() - began < 60


def test_a_wrong_host_is_not_waited_for(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "http://no.such.host.invalid:8000/v1", source="patience_s = 60")
    began = time.monotonic()
    assert "cannot reach" in refused(ExitCode.UNREACHABLE, "run", folder, *UNTIL)
    assert time.monotonic() - began < 15


def test_a_stop_ends_the_wait_at_once_and_status_shows_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", seeds=1, source="patience_s = 600")
    with started("run", folder, *UNTIL, "--json") as process:
        assert process.stdout is not None
        while b'"ServerWaiting"' not in process.stdout.readline():
            assert process.poll() is None
        (waits,) = json.loads(faq_tui("status", folder, "--json").out)["waiting"]
        assert waits["url"] == "http://127.0.0.1:9/v1" and 590 < waits["gives_up"] - waits["since"] < 610
        assert "waiting for http://127.0.0.1:9/v1" in faq_tui("status", folder).out.replace("\n", " ")
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(20) == ExitCode.STOPPED
        assert time.monotonic() - began < 5
    assert json.loads(faq_tui("status", folder, "--json").out)["waiting"] == []


# --- the judge ---


@pytest.mark.usefixtures("quick")
def test_a_judge_that_restarts_scores_everything(tmp_path: Path) -> None:
    behaviour = judging(lambda asked: marks(asked, lambda *_: 5), pieces_per_s=200)
    server = Restarted(behaviour, after=30 + 3, down_s=1.0)  # in the middle of the second stage
    with server.running() as url:
        folder = judged(tmp_path / "run", url, seeds=10, more="probe = 0\nretries = 0\nconcurrency = 2")
        result = faq_tui("run", folder, "--until", "judge", "--json")
    assert result.code == ExitCode.DONE, result.err
    assert len(named(result, "ServerBack")) == 1
    assert len({event["candidate_id"] for event in named(result, "ScoreReady")}) == 30
    assert set(server.finished.values()) == {1}


@pytest.mark.usefixtures("quick")
def test_one_request_that_always_fails_does_not_end_the_judge(tmp_path: Path) -> None:
    """Its server answers the others."""

    def fault(asked: Asked) -> Fault | None:
        return Fault("status", 500) if is_judge(asked) and question(3) in prompt_of(asked) else None

    with FakeServer(judging(lambda asked: marks(asked, lambda *_: 5), fault=fault, pieces_per_s=400)) as server:
        folder = judged(tmp_path / "run", server.url, seeds=10, more="probe = 0\nretries = 1\nconcurrency = 2")
        said = refused(ExitCode.FAILED, "run", folder, "--until", "judge")
    assert said.startswith("the judge failed on 3 of 30 candidates (HTTP 500 made-up trouble)")


# --- refusals of a server that answered before ---


@pytest.mark.parametrize("status", [401, 404])
def test_a_passing_refusal_of_the_key_or_the_model_ends_nothing(tmp_path: Path, status: int) -> None:
    """As of a gateway that reads its settings again; but what all requests get ends the stage."""
    refusing = [False]

    def fault(asked: Asked) -> Fault | None:
        some = asked.question == question(4) and asked.attempt < 3
        return Fault("status", status, "not now") if some or refusing[0] else None

    with FakeServer(Behaviour(fault=fault)) as server:
        source = "concurrency = 1\nretry_wait_s = 0.01"
        folder = make_run(tmp_path / "run", server.url, seeds=10, source=source)
        assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
        assert len(stored(folder)) == 30
        asked = len(server.requests)
        make_run(folder, server.url, seeds=20, source=f"{source}\nretries = 20")
        server.behaviour = Behaviour(fault=lambda a: fault(a) if len(server.requests) > asked + 5 else None)
        refusing[0] = True
        said = refused(ExitCode.UNREACHABLE, "run", folder, *UNTIL)
    assert f"(HTTP {status})" in said and len(stored(folder)) == 35
    assert len(server.requests) == asked + 5 + 8


# --- the watch alone ---


class Hanging:
    """A client of a server that never answers."""

    endpoint = Endpoint(base_url="http://127.0.0.1:9/v1", model="m")
    error: Exception | None = None

    async def get_json(self, path: str) -> object:
        if self.error is not None:
            raise self.error
        await asyncio.sleep(3600)
        return None


async def test_the_end_of_a_watch_is_no_cancel_of_those_who_ask_it() -> None:
    watch = waiting.Watch(Hanging(), lambda: None)  # type: ignore[arg-type]
    asking = [asyncio.create_task(watch.is_down(asyncio.get_running_loop().time())) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0.05)
    assert [task.done() for task in asking] == [True, False, False], "one that leaves takes no other along"
    watch.close()
    assert await asyncio.gather(*asking[1:]) == [False, False]


async def test_an_unexpected_error_of_a_probe_is_not_swallowed() -> None:
    client = Hanging()
    client.error = KeyError("a defect")
    watch = waiting.Watch(client, lambda: None)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="a defect"):
        await watch.is_down(asyncio.get_running_loop().time())
