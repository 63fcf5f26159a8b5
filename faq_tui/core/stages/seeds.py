"""The stage `seeds`: read the seeds, report problems, and draw the seeds to regenerate and the held-out seeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, SeedSkipped, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.seeds import Problem, read_records, to_seed
from faq_tui.core.seeds.read import STARTER, starter_path
from faq_tui.core.seeds.shapes import ShapeError
from faq_tui.core.store import seeds as rows
from faq_tui.core.store.seeds import Seed

DUPLICATE = "duplicate"
HELDOUT_SHARE = 5  # at most one seed in five is held out


def signature(run: Run) -> str:
    path = _path(run)
    state = [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None
    repeats = run.settings.evaluate.repeats
    return digest(run.settings.seeds.model_dump(), state, *([repeats] if repeats > 1 else []))


def execute(context: Context) -> str:
    run, settings = context.run, context.run.settings.seeds
    context.emit(StageStarted("seeds", None, "seeds"))
    problems = _Problems(context)
    total = rows.replace_all(run.store, _good_seeds(context, problems))
    if not total:
        raise UsageError(f"{settings.path} contains no usable seed{problems.summary()}: check its lines")
    repeats = problems.kinds.get(DUPLICATE, 0)
    if total == 1 and repeats:
        raise UsageError(f"{settings.path} contains only one seed: {repeats} more lines repeat it; add other seeds")
    _draw(context, total)
    counts = rows.counts(run.store)
    return (
        f"{total} seeds{problems.summary()}: {counts['chosen']} to regenerate, {counts['heldout']} held out, "
        f"{counts['pool']} unused"
    )


class _Problems:
    """Counts problems by kind. If `seeds.on_problem` is "refuse", the first problem ends the stage."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.kinds: dict[str, int] = {}

    def add(self, line: int, reason: str, kind: str) -> None:
        path = self.context.run.settings.seeds.path
        if self.context.run.settings.seeds.on_problem == "refuse":
            raise UsageError(f'{path} line {line} {reason}: correct the line, or set seeds.on_problem = "skip"')
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.context.emit(SeedSkipped(path, line, reason))

    def summary(self) -> str:
        listed = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        return f" ({listed} skipped)" if listed else ""


def _good_seeds(context: Context, problems: _Problems) -> Iterator[Seed]:
    settings = context.run.settings.seeds
    seen: dict[str, int] = {}
    for item in read_records(_path(context.run), settings):
        context.cancel.check()
        if isinstance(item, Problem):
            problems.add(item.line, f"is {item.reason}", "empty" if item.reason == "empty" else "broken")
            continue
        try:
            seed = to_seed(item.raw, settings, f"{settings.path}:{item.line}")
        except ShapeError as error:
            problems.add(item.line, str(error), "broken")
            continue
        if seed.id in seen:
            problems.add(item.line, f"repeats line {seen[seed.id]}", DUPLICATE)
            continue
        seen[seed.id] = item.line
        yield seed


def _draw(context: Context, total: int) -> None:
    """Draw the seeds by a hash of their id and `sample_seed`. Added seeds then change the draw only a little."""
    run, settings = context.run, context.run.settings.seeds
    ranked = sorted(rows.ids(run.store), key=lambda seed_id: digest(settings.sample_seed, seed_id))
    heldout = min(settings.heldout, total // HELDOUT_SHARE)
    repeats = run.settings.evaluate.repeats  # if there are enough seeds, two draws of a set have no seed in common
    chosen = min(settings.count * repeats, total - heldout)
    if (chosen, heldout) != (settings.count * repeats, settings.heldout):
        context.emit(
            Note(
                f"{total} seeds are fewer than {_times(repeats)}count {settings.count} + heldout {settings.heldout}: "
                f"{chosen} are regenerated and {heldout} are held out",
                "warning",
            )
        )
    rows.assign_roles(run.store, ranked[:chosen], ranked[total - heldout :])


def _times(repeats: int) -> str:
    return f"repeats {repeats} × " if repeats > 1 else ""


def _path(run: Run) -> Path:
    name = run.settings.seeds.path
    return starter_path() if name == STARTER else run.resolve(name)
