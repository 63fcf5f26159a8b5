"""Bars for a step before the units of a stage and for each artefact that is being quantized, and lines for steps."""

from __future__ import annotations

from rich.progress import TimeRemainingColumn

from faq_tui.cli.event_lines import EventLines
from faq_tui.cli.progress_bars import Bars
from faq_tui.core.run.events import (
    ArtefactDone,
    ArtefactStarted,
    CandidateStarted,
    Event,
    LayerDone,
    Preparing,
    StageDone,
    StageFailed,
    StageProgress,
    StageStarted,
)

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


def shown(bars: Bars, *events: Event) -> list[tuple[str, float]]:
    """The detail and the number of finished units of each bar, after these events."""
    for event in events:
        bars.show(event)
    return [(task.fields["detail"], task.completed) for task in bars._progress.tasks]


def test_each_artefact_that_is_being_quantized_has_a_bar() -> None:
    bars = Bars(EventLines())
    both = [ArtefactStarted(name, 3, 8, 400) for name in ("one", "two")]
    found = shown(
        bars,
        StageStarted("quantize", 3, "artefacts"),
        StageProgress("quantize", 0, 3, "one, two"),
        *both,
        LayerDone("one", 0),
        LayerDone("two", 0),
        LayerDone("two", 1),
    )
    assert found == [("one, two", 0), ("one", 1), ("two", 2)]
    # The first one fails: the stage no longer names it.
    assert shown(bars, StageProgress("quantize", 1, 3, "two")) == [("two", 1), ("two", 2)]
    assert shown(bars, ArtefactDone("two", "folder", 1.0, 4.0)) == [("two", 1)]
    assert shown(bars, both[0], StageFailed("quantize", "broken", 1)) == []


def test_the_time_left_is_smoothed_and_counts_what_was_done_before() -> None:
    now = 0.0
    bars = Bars(EventLines(), lambda: now)
    bars.show(StageStarted("regenerate", 40, "candidates", 10))
    for number in range(4):
        bars.show(CandidateStarted("seed", "elder", number))
    line = next(column for column in bars._progress.columns if isinstance(column, TimeRemainingColumn))

    def left() -> str:
        return str(line.render(bars._progress.tasks[0])).strip()

    found = []
    for done in range(1, 11):
        now = 4.0 * done
        bars.show(StageProgress("regenerate", done, 40))
        found.append(left())
    assert found[:3] == ["--:--"] * 3, "no estimate before as many are done as were generated at the same time"
    assert found[3] == "02:24" and found[9] == "02:00"
    assert (bars._progress.tasks[0].completed, bars._progress.tasks[0].total) == (20, 50)
    bars.show(StageDone("regenerate", 1.0, ""))
    assert not bars._progress.tasks
