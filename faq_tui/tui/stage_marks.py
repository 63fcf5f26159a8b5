"""Marks and sentences about the states of the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from faq_tui.core.run_plan import DONE, MISSING, STALE, PlannedStage, RunPlan, seconds_of
from faq_tui.core.stages.unused import KEPT
from faq_tui.tui.duration import clock_time

Mark = tuple[str, str]  # (sign, style)

MARKS: Mapping[str, Mark] = {
    DONE: ("✓", "green"),
    "running": ("●", "bold cyan"),
    STALE: ("!", "bold yellow"),
    "failed": ("✗", "bold red"),
    "stopped": ("…", "yellow"),
    "interrupted": ("…", "yellow"),
    MISSING: (" ", "dim"),
}
WORDS = {STALE: "out of date", MISSING: "to do", "stopped": "not finished", "interrupted": "not finished"}
# Maps each pane to the stages whose results it shows. If the states of these stages differ, the pane's mark shows the
# state that comes first in ORDER.
SHOWN_IN = {
    "seeds": ("seeds",),
    "regenerate": ("regenerate",),
    "judge": ("judge",),
    "spikes": ("assemble", "activations"),
    "quantize": ("quantize",),
    "evidence": ("evaluate", "report"),
}
ORDER = ("running", "failed", STALE, "interrupted", "stopped", MISSING, DONE)


def marks_of_panes(plan: RunPlan) -> dict[str, Mark]:
    """Maps the scope of a pane to the mark of its stages. Panes without stages are omitted."""
    states = {stage.name: stage.state for stage in plan.stages}
    marks = {}
    for scope, names in SHOWN_IN.items():
        found = [states[name] for name in names if name in states]
        if found:
            marks[scope] = MARKS[min(found, key=ORDER.index)]
    return marks


def strip(plan: RunPlan) -> Text:
    """All stages in one line, each with its mark, such as `✓ seeds  ! assemble`."""
    line = Text(no_wrap=True)
    for stage in plan.stages:
        sign, style = MARKS[stage.state]
        line.append(f"{sign} ", style).append(stage.name, "" if stage.state == DONE else style).append("  ")
    line.rstrip()
    return line


def stale_in_words(plan: RunPlan, key: str, width: int) -> Text | None:
    """A sentence about the stages that are out of date, and the key that runs them again.

    If the names of the stages do not fit into `width` cells, the sentence gives only the number of stages. Returns
    None if no stage is out of date.
    """
    if not plan.stale:
        return None
    picks = plan.changed_picks
    why = f"{picks:,} {'pick' if picks == 1 else 'picks'} changed: " if picks else ""
    seconds, one = seconds_of(plan.due), len(plan.stale) == 1
    work = (
        f"{key} redoes about {clock_time(seconds)} of work."
        if seconds and round(seconds)
        else f"{key} shows the plan."
    )
    verb = "is" if one else "are"
    count = f"{len(plan.stale)} {'stage' if one else 'stages'}"
    texts = [
        Text.assemble((f"{why}{what} {verb} out of date. ", "yellow"), work) for what in (_range(plan.stale), count)
    ]
    return next((text for text in texts if text.cell_len <= width), texts[-1])


def work_in_words(stages: Sequence[PlannedStage]) -> str:
    """The stages to run, with the time that they took last time: `assemble to report, about 14:02`."""
    seconds = seconds_of(stages)
    time = f", about {clock_time(seconds)}" if seconds and round(seconds) else ""
    return f"{_range(stages)}{time}"


def plan_in_lines(plan: RunPlan) -> Text:
    """One line for each stage: its mark, its name, its state, and the time of its last run."""
    text = Text()
    width = max((len(stage.name) for stage in plan.stages), default=0)
    for stage in plan.stages:
        sign, style = MARKS[stage.state]
        words = WORDS.get(stage.state, stage.state)
        if stage.is_due and stage.seconds and round(stage.seconds):
            words += f", about {clock_time(stage.seconds)}"
        text.append(f"{sign} ", style).append(f"{stage.name:<{width}}  ").append(
            f"{words}\n", style if stage.is_due else "dim"
        )
    text.rstrip()
    if plan.unused:
        text.append(f"\n\nThe run will not use {plan.unused.in_words()}; {KEPT}.", "yellow")
    if plan.unused.returning:
        text.append(f"\n\nThe run uses {plan.unused.returning:,} stored candidates again.")
    return text


def _range(stages: Sequence[PlannedStage]) -> str:
    names = [stage.name for stage in stages]
    if len(names) > 2:
        return f"{names[0]} to {names[-1]}"
    return " and ".join(names)
