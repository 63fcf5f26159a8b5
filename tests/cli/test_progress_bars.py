"""Bars and lines for a step before the units of a stage."""

from __future__ import annotations

from faq_tui.cli.event_lines import EventLines
from faq_tui.cli.progress_bars import Bars
from faq_tui.core.run.events import Preparing, StageDone, StageStarted

EVIL = "downloading \x1b[2Jm"


def download(done: int, ended: bool = False) -> Preparing:
    return Preparing(EVIL, done, 16_400_000_000, "bytes", ended)


def test_a_download_has_a_bar_in_megabytes() -> None:
    bars = Bars(EventLines())
    with bars:
        bars.show(StageStarted("quantize", 2, "artefacts"))
        bars.show(download(0))
        bars.show(download(8_200_000_000))
        stage, step = bars._progress.tasks
        assert stage.description == "quantize"
        assert step.description.endswith("m (MB)") and "\x1b" not in step.description
        assert (step.completed, step.total) == (8200, 16400)
        bars.show(Preparing("loading a model", 0, None, "", ended=False))
        assert [task.description for task in bars._progress.tasks][2:] == ["  loading a model"]
        bars.show(download(16_400_000_000, ended=True))
        assert len(bars._progress.tasks) == 2
        bars.show(StageDone("quantize", 1.0, ""))
        assert not bars._progress.tasks


def test_a_step_has_one_line() -> None:
    lines = EventLines()
    found = [line for done in (0, 1, 2) for line in lines.of(download(done))]
    assert len(found) == 1 and found[0].endswith("m, 16.4 GB …") and "\x1b" not in found[0]
    assert lines.of(download(3, ended=True)) == []
    assert lines.of(Preparing("loading a model", 0, None, "", ended=False)) == ["  loading a model …"]
