"""The bars of a terminal: one for the stage, and one for each artefact that is being quantized."""

from __future__ import annotations

from faq_tui.cli.event_lines import EventLines
from faq_tui.cli.progress_bars import Bars
from faq_tui.core.run.events import (
    ArtefactDone,
    ArtefactStarted,
    Event,
    LayerDone,
    StageFailed,
    StageProgress,
    StageStarted,
)


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
