"""The rows of Home: their order, their columns, and the lines about the selected run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from faq_tui.core.base.text import sanitize
from faq_tui.core.run_summary import RunSummary, age, size_in_words
from faq_tui.tui.widgets.table import Cell, Column

WIDEST_TARGET = 48
WIDE = 116  # in a list of at least this many cells, the verdict has its own column
NARROW_COLUMNS = (
    Column("run", gap=0, cut="middle"),
    Column("target", 15, gap=2, cut="middle"),
    Column("state", 23, gap=2),
    Column("age", 6, right=True, gap=2),
    Column("disk", 6, right=True, gap=2),
)
WIDE_COLUMNS = (
    Column("run", gap=0, cut="middle"),
    Column("target", 22, gap=2, cut="middle"),
    Column("state", 22, gap=2),
    Column("age", 7, right=True, gap=2),
    Column("disk", 7, right=True, gap=2),
    Column("result", 24, gap=2),
)
# The role of a text decides its colour, which depends on the theme: "strong", "good", "warning", "bad" or "".
ROLES = {
    "running": "strong",
    "done": "good",
    "failed": "bad",
    "broken": "bad",
    "interrupted": "warning",
    "stopped": "warning",
}
WORDS = {
    "new": "not started",
    "running": "running: {stage}",
    "done": "done",
    "partly": "done up to {stage}",
    "failed": "{stage} failed",
    "stopped": "{stage} stopped",
    "interrupted": "{stage} interrupted",
    "broken": "cannot be read",
}


def columns(width: int) -> tuple[Column, ...]:
    """The columns for a list of `width` cells.

    In a wide list, the column of the target gets half of the additional cells.
    """
    if width < WIDE:
        return NARROW_COLUMNS
    run, target, *others = WIDE_COLUMNS
    return run, replace(target, width=min(WIDEST_TARGET, target.width + (width - WIDE) // 2)), *others


def cells(run: RunSummary, name: str, now: float, width: int) -> Iterator[Cell]:
    """The cells of one run, each with its role. `name` is what `name_of` returns."""
    state, role = state_in_words(run), ROLES.get(run.state, "")
    wide = width >= WIDE
    yield name, ""
    yield run.target, ""
    yield (state if wide or not run.verdict else f"{state}: {short_verdict(run.verdict)}"), role
    yield age(now - run.changed), ""
    yield size_in_words(run.disk), ""
    if wide:
        yield run.verdict, ""


def state_in_words(run: RunSummary) -> str:
    if run.state == "running" and not run.stage:
        return "running"
    return WORDS[run.state].format(stage=run.stage)


def short_verdict(verdict: str) -> str:
    """Shorten a verdict: leave out the comparisons that show no difference.

    If no comparison shows a difference, the result is "no difference".
    """
    parts = [part for part in verdict.split(", ") if part.rpartition(" ")[2] in ("better", "worse")]
    return ", ".join(parts) or "no difference"


def name_of(folder: Path, here: Path, home: Path | None) -> str:
    """The folder relative to the current folder or to the home folder if possible, else the whole path."""
    if folder == here:
        return f"{folder.name or folder} (this folder)"
    if folder.is_relative_to(here):
        return str(folder.relative_to(here))
    if home is not None and folder.is_relative_to(home):
        return f"~/{folder.relative_to(home)}"
    return str(folder)


def in_order(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """Sort the runs: running runs before all other runs, and newer changes before older changes."""
    return sorted(runs, key=lambda run: (run.state != "running", -run.changed, str(run.folder)))


def matches(run: RunSummary, text: str) -> bool:
    """True if the text is a part of the run's path or target. Upper and lower case count as equal."""
    return text.casefold() in f"{run.folder}\n{run.target}".casefold()


def details(run: RunSummary, stale: list[str] | None) -> list[tuple[str, str]]:
    """Lines about the selected run, each with its role.

    `stale` names the stages that are out of date; None if they are not computed yet.
    """
    lines = [(str(run.folder), "strong")]
    if run.state == "broken":
        return [*lines, (run.message, "bad")]
    lines.append((f"Target {run.target}", ""))
    state = state_in_words(run)
    sentence = f"{state[:1].upper()}{state[1:]}"
    lines.append((f"{sentence}: {run.message}" if run.message and run.state != "done" else sentence, ""))
    if run.verdict:
        lines.append((f"With regenerated data instead of the plain questions: {run.verdict}.", ""))
    if stale:
        what = "This stage is" if len(stale) == 1 else "These stages are"
        lines.append((f"{what} out of date, because settings or inputs have changed: {', '.join(stale)}.", "warning"))
    return [(sanitize(text), role) for text, role in lines]
