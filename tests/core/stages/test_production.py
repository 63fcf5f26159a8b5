"""Two artefacts at the same time: the same weights as one after the other, and each worker ends alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.artefact_queue import queue_of
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.quantizing.output import is_whole, read_manifest
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import ArtefactDone, Event, LayerDone, LayerStarted, Note, StageProgress
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages import production
from faq_tui.core.stages import quantize as stage
from faq_tui.core.store import stages
from faq_tui.core.worker import forked, parent
from tests.support.quantize_bench import children
from tests.support.shell import faq_tui
from tests.support.tiny import TINY_RUN, make_tiny_run

pytestmark = pytest.mark.slow

SETTINGS = (
    TINY_RUN
    + """
[sets.medium]
count = 6
[sets.large]
count = 8
[[recipes]]
method = "gptq"
group_size = 32
sets = ["medium", "large"]
"""
)
MEDIUM, LARGE = "gptq-w4g32-medium", "gptq-w4g32-large"
BOTH = "[quantize]\nparallel = 2\n"


@pytest.fixture(scope="module", autouse=True)
def _two_threads() -> Iterator[None]:
    """Without a limit, a worker would use two threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        yield


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assembled")
    make_tiny_run(folder, SETTINGS, layers=8)
    assert faq_tui("run", folder, "--until", "assemble").code == 0
    return folder


@pytest.fixture(scope="module")
def alone(assembled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with both artefacts, made one after the other."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(assembled, folder)
    with open_run(folder) as run:
        Making(run).execute()
    return folder


@pytest.fixture
def making(assembled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Making]:
    folder = tmp_path / "run"
    shutil.copytree(assembled, folder)
    (folder / "faq.toml").write_text(SETTINGS + BOTH, encoding="utf-8")
    real = parent._start

    def start(*arguments: Any) -> Any:
        started = real(*arguments)
        made.workers[threading.current_thread().name.removeprefix("worker ")] = started[0].pid
        return started

    monkeypatch.setattr(parent, "_start", start)
    with open_run(folder) as run:
        made = Making(run)
        yield made
    forked.end_server()


class Making:
    """The stage on one run, with its events, and with the pid of each artefact's worker."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.events: list[Event] = []
        self.workers: dict[str, int] = {}
        self.cancel = CancelToken()
        self.when_both: Callable[[], None] = lambda: None
        self._begun: set[str] = set()

    def execute(self) -> None:
        stages.begin(self.run.store, stage.STAGE, "", "job")
        with ExitStack() as resources:
            stage.execute(Context(self.run, self._hear, self.cancel, "job", ("quantize",), resources))

    def _hear(self, event: Event) -> None:
        """Hold the first worker after its first layer until the second worker has finished a layer, too."""
        self.events.append(event)
        if isinstance(event, LayerDone) and event.artefact not in self._begun and self.workers:
            self._begun.add(event.artefact)
            self.signal(event.artefact, signal.SIGSTOP)
            if len(self._begun) == 2:
                self.when_both()
                for name in self.workers:
                    self.signal(name, signal.SIGCONT)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.workers[name], number)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def weights(run: Path, name: str) -> str:
    return hashlib.sha256((run / "models" / name / "model.safetensors").read_bytes()).hexdigest()


def manifest(run: Path, name: str) -> dict[str, Any]:
    """The manifest without times and memory."""
    body = read_manifest(run / "models" / name)
    assert body is not None
    losses = [{key: value for key, value in row.items() if key != "seconds"} for row in body["losses"]]
    del body["seconds"], body["losses"], body["peak_memory_mb"], body["model"]  # `model` is a path in the run folder
    text: dict[str, Any] = json.loads(json.dumps({**body, "losses": losses}))
    return text


def test_the_artefacts_are_the_same_as_one_after_the_other(making: Making, alone: Path) -> None:
    making.execute()
    assert stage.intact(making.run) and not children()
    for name in (MEDIUM, LARGE):
        assert weights(making.run.folder, name) == weights(alone, name)
        assert manifest(making.run.folder, name) == manifest(alone, name)
    started = [
        next(n for n, e in enumerate(making.events) if isinstance(e, LayerStarted) and e.artefact == name)
        for name in (MEDIUM, LARGE)
    ]
    assert max(started) < making.events.index(making.of(ArtefactDone)[0]), "both were being made at the same time"
    done = [event.artefact for event in making.of(ArtefactDone)]
    last = {MEDIUM, LARGE} - {done[0]}
    assert [(event.done, event.detail) for event in making.of(StageProgress)] == [
        (0, MEDIUM),
        (0, f"{MEDIUM}, {LARGE}"),
        (1, *last),
        (2, ""),
    ]


def test_a_killed_worker_takes_only_its_own_artefact_and_continues_later(making: Making, alone: Path) -> None:
    making.when_both = lambda: making.signal(MEDIUM, signal.SIGKILL)
    with pytest.raises(FaqError, match=f"{MEDIUM}: quantize was killed by the system"):
        making.execute()
    run = making.run
    assert not is_whole(run.models / MEDIUM) and weights(run.folder, LARGE) == weights(alone, LARGE)
    assert [note.message.rpartition("; ")[2] for note in making.of(Note) if note.level == "warning"] == [
        "the other artefacts are still being made"
    ]
    assert [queued.state for queued in queue_of(run)] == ["failed", "done"]
    making.execute()
    assert any(note.message.startswith(f"{MEDIUM} continues at layer ") for note in making.of(Note))
    assert weights(run.folder, MEDIUM) == weights(alone, MEDIUM)
    assert not (run.cache / "checkpoints").exists()


def test_a_stop_ends_both_and_both_continue_later(making: Making, alone: Path) -> None:
    making.when_both = making.cancel.set
    with pytest.raises(Stopped):
        making.execute()
    run = making.run
    assert not children() and not list(run.models.iterdir())
    stages.end(run.store, stage.STAGE, "stopped", "stopped by request")
    assert [queued.state for queued in queue_of(run)] == ["stopped", "stopped"]
    making.cancel = CancelToken()
    making.execute()
    resumed = [note.message.split()[0] for note in making.of(Note) if "continues at layer" in note.message]
    assert sorted(resumed) == sorted([MEDIUM, LARGE])
    for name in (MEDIUM, LARGE):
        assert weights(run.folder, name) == weights(alone, name)


def test_equal_sets_are_made_once(making: Making) -> None:
    """The second artefact waits for the first one, although there is a free place."""
    text = (SETTINGS + BOTH).replace("count = 8", "count = 6")
    folder = making.run.folder
    (folder / "faq.toml").write_text(text, encoding="utf-8")
    assert faq_tui("run", folder, "--until", "assemble").code == 0
    with open_run(folder) as run:
        again = Making(run)
        again.execute()
        assert [event.artefact for event in again.of(ArtefactDone)] == [MEDIUM]
        assert [queued.artefact and queued.artefact.folder for queued in queue_of(run)] == [MEDIUM, MEDIUM]


def test_an_artefact_is_whole_although_its_last_message_was_lost(
    making: Making, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine of a cluster can be lost between the end of its worker and the arrival of its last message."""
    hear = production.Production._hear

    def without_the_last(self: Any, running: Any, message: dict[str, Any]) -> None:
        if message["kind"] != "quantized":
            hear(self, running, message)

    monkeypatch.setattr(production.Production, "_hear", without_the_last)
    making.execute()
    for name in (MEDIUM, LARGE):
        assert weights(making.run.folder, name) == weights(alone, name)
    assert all(done.average_bits > 4 and done.seconds > 0 for done in making.of(ArtefactDone))
