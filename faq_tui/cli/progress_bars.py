"""Progress on a terminal: a bar for the stage, and a bar for the layers of each artefact that is being quantized."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from faq_tui.cli.event_lines import EventLines
from faq_tui.core.base.steps import BYTES
from faq_tui.core.base.text import sanitize
from faq_tui.core.base.time_left import TimeLeft
from faq_tui.core.run.events import (
    ArtefactDone,
    ArtefactStarted,
    CandidateDone,
    CandidateFailed,
    CandidateStarted,
    Event,
    LayerDone,
    Preparing,
    ServerBack,
    StageDone,
    StageFailed,
    StageProgress,
    StageStarted,
)

MB = 1_000_000


class StagePace:
    """The rate and the time left of one stage."""

    def __init__(self, event: StageStarted, clock: Callable[[], float]) -> None:
        self._total, self._clock = event.total or 0, clock
        self._time_left = TimeLeft()
        self._growing: set[tuple[str, str, int]] = set()
        self._most_growing = 0  # the first finished candidates are the shortest ones, so they are not typical

    def hear(self, event: Event) -> None:
        match event:
            case CandidateStarted():
                self._growing.add((event.seed_id, event.source, event.number))
                self._most_growing = max(self._most_growing, len(self._growing))
            case CandidateDone() | CandidateFailed():
                self._growing.discard((event.seed_id, event.source, event.number))
            case ServerBack():
                self._time_left.pause(event.waited_s, self._clock())
            case StageProgress():
                self._total = event.total or 0
                self._time_left.report(event.done, self._clock())

    def per_second(self) -> float | None:
        return self._time_left.per_second(self._total, self._clock(), self._most_growing)

    def seconds(self) -> float | None:
        return self._time_left.seconds(self._total, self._clock(), self._most_growing) if self._total else None


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        pace: StagePace | None = task.fields.get("pace")
        speed = pace.per_second() if pace else task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="dim")


class _Left(TimeRemainingColumn):
    """The time left. For a stage, it is the smoothed estimate that the app shows, too."""

    def render(self, task: Task) -> Text:
        pace: StagePace | None = task.fields.get("pace")
        if pace is None:
            return super().render(task)
        seconds = pace.seconds()
        if seconds is None:
            return Text("--:--", style="progress.remaining")
        minutes, left = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        words = f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes:02d}:{left:02d}"
        return Text(words, style="progress.remaining")


class Bars:
    """Shows events as bars. Lines of text scroll above the bars."""

    def __init__(self, lines: EventLines, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines, self._clock = lines, clock
        self._console = Console(stderr=True, highlight=False, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            _Left(compact=True),
            TextColumn("{task.fields[detail]}", markup=False, style="dim"),
            console=self._console,
            transient=True,
            expand=True,
            refresh_per_second=5,
        )
        self._stage: TaskID | None = None
        self._pace: StagePace | None = None
        self._already = 0  # units that were already done when the stage began
        self._layers: dict[str, TaskID] = {}  # the bar of each artefact that is being quantized
        self._steps: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Show one event. The pipeline's thread calls this method."""
        for line in self._lines.of(event):
            if not isinstance(event, StageStarted):
                self._console.print(Text(line))
        if self._pace is not None:
            self._pace.hear(event)
        if isinstance(event, StageStarted):
            self._drop_all()
            self._pace, self._already = StagePace(event, self._clock), event.already
            total = None if event.total is None else event.already + event.total
            self._stage = self._progress.add_task(
                event.stage, total=total, completed=event.already, detail="", pace=self._pace
            )
        elif isinstance(event, StageProgress) and self._stage is not None:
            detail = sanitize(event.detail, 40)
            done, total = self._already + event.done, None if event.total is None else self._already + event.total
            self._progress.update(self._stage, completed=done, total=total, detail=detail)
            if event.stage == "quantize":
                # `event.detail` names the artefacts in progress. An artefact with a bar that is not named has failed.
                for name in self._layers.keys() - set(event.detail.split(", ")):
                    self._drop(name)
        elif isinstance(event, Preparing):
            self._show_step(event)
        elif isinstance(event, ArtefactStarted):
            self._drop(event.artefact)
            detail = sanitize(event.artefact, 40)
            self._layers[event.artefact] = self._progress.add_task("  layers", total=event.layers, detail=detail)
        elif isinstance(event, LayerDone) and event.artefact in self._layers:
            self._progress.advance(self._layers[event.artefact])
        elif isinstance(event, ArtefactDone):
            self._drop(event.artefact)
        elif isinstance(event, StageDone | StageFailed):
            self._drop_all()

    def _show_step(self, event: Preparing) -> None:
        """Show a bar for a step that comes before the units of the stage. Bytes are counted in megabytes."""
        task = self._steps.get(event.what)
        if event.ended:
            if task is not None:
                self._progress.remove_task(self._steps.pop(event.what))
            return
        scale = MB if event.unit == BYTES else 1
        total = event.total / scale if event.total else None
        if task is None:
            unit = " (MB)" if event.unit == BYTES else ""
            task = self._steps[event.what] = self._progress.add_task(
                f"  {sanitize(event.what)}{unit}", total=total, detail=""
            )
        self._progress.update(task, completed=event.done // scale, total=total and round(total))

    def _drop(self, artefact: str) -> None:
        task = self._layers.pop(artefact, None)
        if task is not None:
            self._progress.remove_task(task)

    def _drop_all(self) -> None:
        for task in (self._stage, *self._layers.values(), *self._steps.values()):
            if task is not None:
                self._progress.remove_task(task)
        self._stage = self._pace = None
        self._layers.clear()
        self._steps.clear()
