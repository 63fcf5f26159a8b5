"""What the running job has said so far, as plain state: the one place that maps events to what is drawn.

No widgets here: panes read it ten times a second at most, for what is visible.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from faq_tui.core.run import events as e
from faq_tui.tui.live_quantize import ArtefactLive
from faq_tui.tui.live_regenerate import CandidateKey, GrowingCandidate, Regeneration

KEPT_LINES = 500
TELLING = 0.01  # of a stage: before that its pace is mostly its start


@dataclass
class StageLive:
    stage: str
    total: int | None = None
    done: int = 0
    unit: str = ""
    detail: str = ""
    started: float = 0.0
    state: str = "running"  # running | done | failed | stopped
    message: str = ""
    already: int = 0  # units found finished when it began
    first: tuple[int, float] | None = None  # units done at the first report, and when it came

    def seconds_a_unit(self, now: float) -> float | None:
        """Since the first report, as loading a model is no part of the pace; None if nothing can be said yet."""
        if not self.done or (self.total and self.done < TELLING * self.total):
            return None
        done, since = self.first if self.first and self.first[0] < self.done else (0, self.started)
        return max(0.0, now - since) / (self.done - done)

    def seconds_left(self, now: float) -> float | None:
        """None if nothing can be said yet."""
        each = self.seconds_a_unit(now)
        if self.state != "running" or not self.total or each is None:
            return None
        return each * max(0, self.total - self.done)


@dataclass
class LiveState:
    """`version` grows with every event: a pane that saw it needs no redraw."""

    version: int = 0
    stage: StageLive | None = None
    regeneration: Regeneration = field(default_factory=Regeneration)
    artefacts: dict[str, ArtefactLive] = field(default_factory=dict)
    measured: int = 0  # values heard of, whatever they are
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))  # notes for the log view

    @property
    def growing(self) -> dict[CandidateKey, GrowingCandidate]:
        return self.regeneration.growing

    @property
    def latest(self) -> CandidateKey | None:
        return self.regeneration.latest

    def is_running(self, stage: str) -> bool:
        return self.stage is not None and self.stage.stage == stage and self.stage.state == "running"

    def seconds_left(self, now: float) -> float | None:
        """Of what the running stage counts: of an artefact's layers where one is being made, else of its units.

        The one estimate that all of the screen shows; None if nothing can be said yet.
        """
        artefact = self.running_artefact()
        if artefact is not None and artefact.layers:
            return artefact.seconds_left(now)
        return self.stage.seconds_left(now) if self.stage is not None else None

    def running_artefact(self) -> ArtefactLive | None:
        """The one that is being made now."""
        if not self.is_running("quantize"):
            return None
        return next((a for a in reversed(self.artefacts.values()) if a.seconds is None), None)

    def lost(self, message: str) -> None:
        """The job is gone without a last word."""
        self.version += 1
        if self.stage is not None and self.stage.state == "running":
            self.stage.state, self.stage.message = "failed", message
        self.growing.clear()

    def apply(self, event: e.Event, at: float) -> None:
        """Take one event; `at` is its time (unix seconds)."""
        self.version += 1
        # Thousands of these come each second, of all others a few.
        if type(event) is e.CandidateDelta:
            self.regeneration.delta(event, at)
            return
        match event:
            case e.CandidateStarted() | e.CandidateRetried() | e.CandidateDone() | e.CandidateFailed():
                self.regeneration.apply(event, at)
            case e.StageStarted() | e.StageProgress() | e.StageDone() | e.StageFailed():
                self._stage(event, at)
            case e.MeasurementReady():
                self.measured += 1
            case e.Note():
                self.lines.append(event.message)
            case e.ArtefactStarted():
                self.artefacts.pop(event.artefact, None)  # of an earlier try: the last one begun stands last
                self.artefacts[event.artefact] = ArtefactLive(
                    event.artefact, event.layers, at, event.samples, event.tokens
                )
            case e.LayerStarted() | e.ModuleQuantized() | e.LayerDone() | e.ArtefactDone():
                if artefact := self.artefacts.get(event.artefact):
                    artefact.apply(event, at)
            case _:
                pass

    def _stage(self, event: e.StageStarted | e.StageProgress | e.StageDone | e.StageFailed, at: float) -> None:
        match event:
            case e.StageStarted():
                self.stage = StageLive(event.stage, event.total, 0, event.unit, started=at, already=event.already)
                if event.stage == "regenerate":
                    self.regeneration = Regeneration()
            case e.StageProgress() if self.stage:
                self.stage.done, self.stage.total, self.stage.detail = event.done, event.total, event.detail
                if self.stage.first is None and event.done:
                    self.stage.first = event.done, at
            case e.StageDone() if self.stage:
                self.stage.state, self.stage.message = "done", event.summary
                self.growing.clear()
            case e.StageFailed():
                if self.stage is None or self.stage.stage != event.stage:
                    self.stage = StageLive(event.stage, started=at)
                self.stage.state = "stopped" if event.exit_code == 4 else "failed"
                self.stage.message = event.message
                self.growing.clear()
            case _:
                pass
