"""The stage `quantize`: equal sets share weights, and a killed worker takes only its own artefact."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.quantizing import recipe_check
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, LayerStarted, Note
from faq_tui.core.run.run import open_run
from faq_tui.core.stages import quantize as stage
from faq_tui.core.store.artefacts import all_artefacts
from faq_tui.core.worker import forked
from tests.support.quantize_bench import children
from tests.support.shell import faq_tui
from tests.support.tiny import TINY_RUN, make_tiny_run

pytestmark = pytest.mark.slow

SETTINGS = (
    TINY_RUN
    + """
[sets.medium]
count = {medium}
[sets.large]
count = {large}
[[recipes]]
method = "w8a8"
sets = ["medium", "large"]
[quantize]
parallel = 1
"""
)
MEDIUM, LARGE = "w8a8-w8gc-medium", "w8a8-w8gc-large"


def quantized(run: Path, medium: int, large: int) -> dict[str, str]:
    """By artefact: the folder whose weights are its own."""
    (run / "faq.toml").write_text(SETTINGS.format(medium=medium, large=large), encoding="utf-8")
    done = faq_tui("run", run, "--until", "quantize")
    assert done.code == 0, done.err
    with open_run(run) as opened:
        found = all_artefacts(opened.store)
    for name, artefact in found.items():
        manifest = json.loads((run / "models" / artefact.folder / "faq_manifest.json").read_text())
        assert manifest["samples"] == {MEDIUM: medium, LARGE: large}[name], "the weights are of its own set"
    return {name: artefact.folder for name, artefact in found.items()}


def test_a_twin_about_to_change_lends_its_weights_to_none(tmp_path: Path) -> None:
    make_tiny_run(tmp_path, TINY_RUN)
    assert quantized(tmp_path, 8, 8) == {MEDIUM: MEDIUM, LARGE: MEDIUM}
    assert quantized(tmp_path, 6, 8) == {MEDIUM: MEDIUM, LARGE: LARGE}
    # The middle set now has the ids from which the large one was made, which is to be made anew after it.
    assert quantized(tmp_path, 8, 12) == {MEDIUM: MEDIUM, LARGE: LARGE}


def test_a_killed_worker_takes_only_its_own_artefact(tmp_path: Path) -> None:
    """The next artefact is made by another child of the same fork server, and the lost one on the next run."""
    make_tiny_run(tmp_path, TINY_RUN)
    (tmp_path / "faq.toml").write_text(SETTINGS.format(medium=6, large=8), encoding="utf-8")
    assert faq_tui("run", tmp_path, "--until", "assemble").code == 0
    events: list[Event] = []
    workers: dict[str, list[int]] = {}
    servers = []

    def hear(event: Event) -> None:
        events.append(event)
        if isinstance(event, LayerStarted) and event.artefact not in workers:
            workers[event.artefact] = children()
            servers.append(forked._server)
            if len(workers) == 1:
                for child in workers[event.artefact]:
                    os.kill(child, signal.SIGKILL)

    with open_run(tmp_path) as run, ExitStack() as resources:
        context = Context(run, hear, CancelToken(), "job", ("quantize",), resources)
        with pytest.raises(FaqError, match=MEDIUM):
            stage.execute(context)
        assert not is_whole(run.models / MEDIUM) and is_whole(run.models / LARGE)
        assert [note.message for note in events if isinstance(note, Note) and note.level == "warning"] == [
            f"{MEDIUM}: quantize was killed by the system, probably because memory was full; "
            f"see the output in {run.log('job')}; the next artefact follows"
        ]
        assert len(workers[MEDIUM]) == 1 and not set(workers[MEDIUM]) & set(workers[LARGE])
        assert servers[0] is servers[1]
        made = (run.models / LARGE / "model.safetensors").stat().st_mtime_ns
        stage.execute(context)
        assert stage.intact(run)
        assert (run.models / LARGE / "model.safetensors").stat().st_mtime_ns == made


def test_the_workers_divide_the_rows_as_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the devices are two threads of the CPU, which the check of the settings would refuse."""
    make_tiny_run(tmp_path, TINY_RUN)
    settings = SETTINGS.format(medium=6, large=8).replace("[target]\n", '[target]\ndevice = "cpu"\n')
    (tmp_path / "faq.toml").write_text(settings + "gpus_per_artefact = 2\n", encoding="utf-8")
    assert faq_tui("run", tmp_path, "--until", "assemble").code == 0
    with open_run(tmp_path) as run, ExitStack() as resources:
        context = Context(run, lambda _event: None, CancelToken(), "job", ("quantize",), resources)
        with pytest.raises(UsageError, match="gpus_per_artefact is 2"):
            stage.execute(context)
        monkeypatch.setattr(recipe_check, "gpus_refusal", lambda each, device: "")
        stage.execute(context)
        for name in (MEDIUM, LARGE):
            assert json.loads((run.models / name / "faq_manifest.json").read_text())["devices"] == 2
        before = stage.signature(run)
    (tmp_path / "faq.toml").write_text(settings, encoding="utf-8")
    with open_run(tmp_path) as run:
        assert stage.signature(run) == before and stage.intact(run), "another number of GPUs makes no artefact stale"
