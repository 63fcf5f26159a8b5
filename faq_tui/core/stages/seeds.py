"""The stage `seeds`: read the seeds, report problems, and draw the seeds to regenerate and the held-out seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.chat.dialects import begins_with_reasoning
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, SeedSkipped, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.seeds import Problem, Record, read_records
from faq_tui.core.seeds.files import state_of
from faq_tui.core.seeds.read import STARTER, starter_path
from faq_tui.core.seeds.reasons import DUPLICATE, ENCODING, LEFT_OUT, ShapeError, in_short, reason_of
from faq_tui.core.seeds.shapes import SeedOfRecord, read_seed
from faq_tui.core.store import seeds as rows
from faq_tui.core.store.seeds import Seed

HELDOUT_SHARE = 5  # at most one seed in five is held out


def signature(run: Run) -> str:
    path = _path(run)
    state = state_of(path, run.settings.seeds.path)
    repeats = run.settings.evaluate.repeats
    return digest(run.settings.seeds.model_dump(), state, *([repeats] if repeats > 1 else []))


def execute(context: Context) -> str:
    run, settings = context.run, context.run.settings.seeds
    context.emit(StageStarted("seeds", None, "seeds"))
    problems = _Problems(context)
    total = rows.replace_all(run.store, _good_seeds(context, problems))
    rows.record_skips(run.store, problems.reasons)
    if not total:
        unread = problems.reasons.get(ENCODING, 0)
        hint = f", and set seeds.encoding, because {unread} of them are not in UTF-8" if unread else ""
        raise UsageError(f"{settings.path} contains no usable seed{problems.summary()}: check its lines{hint}")
    repeats = problems.reasons.get(DUPLICATE, 0)
    if total == 1 and repeats:
        raise UsageError(f"{settings.path} contains only one seed: {repeats} more lines repeat it; add other seeds")
    problems.emit_notes()
    _draw(context, total)
    counts = rows.counts(run.store)
    return (
        f"{total} seeds{problems.summary()}: {counts['chosen']} to regenerate, {counts['heldout']} held out, "
        f"{counts['pool']} unused"
    )


class _Problems:
    """Counts skipped rows by reason. If `seeds.on_problem` is "refuse", the first problem ends the stage."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.reasons: dict[str, int] = {}
        self.left_out: Counter[str] = Counter()
        self.reasoned = 0  # number of seeds whose original answer begins with reasoning

    def add(self, item: Record | Problem, words: str, reason: str) -> None:
        path = item.file or self.context.run.settings.seeds.path
        if self.context.run.settings.seeds.on_problem == "refuse":
            raise UsageError(f'{path} line {item.line} {words}: correct the line, or set seeds.on_problem = "skip"')
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self.context.emit(SeedSkipped(path, item.line, words))

    def kept(self, made: SeedOfRecord) -> None:
        """Count the parts of the record that the seed does not contain."""
        self.left_out.update(made.left_out)
        self.reasoned += begins_with_reasoning(made.seed.answer or "")

    def summary(self) -> str:
        listed = in_short(self.reasons)
        return f" ({listed} skipped)" if listed else ""

    def emit_notes(self) -> None:
        for name, count in self.left_out.items():
            self.context.emit(Note(f"in {count} {_seeds(count)} {LEFT_OUT[name]}"))
        if self.reasoned:
            self.context.emit(
                Note(
                    f"in {self.reasoned} {_seeds(self.reasoned)} the original answer begins with reasoning; "
                    "if the target's template writes reasoning, the sets keep it apart from the answer"
                )
            )
        count = self.reasons.get(ENCODING, 0)
        if count:
            path, lines = self.context.run.settings.seeds.path, "line is" if count == 1 else "lines are"
            self.context.emit(
                Note(
                    f'{count} {lines} not UTF-8: save {path} as UTF-8, or set seeds.encoding, such as "latin-1" or '
                    '"cp1252"',
                    "warning",
                )
            )


def _seeds(count: int) -> str:
    return "seed" if count == 1 else "seeds"


def _good_seeds(context: Context, problems: _Problems) -> Iterator[Seed]:
    settings = context.run.settings.seeds
    seen: dict[str, tuple[int, str]] = {}
    for item in read_records(_path(context.run), settings):
        context.cancel.check()
        if isinstance(item, Problem):
            problems.add(item, f"is {item.reason}", reason_of(item.reason))
            continue
        try:
            made = read_seed(item.raw, settings, f"{item.file or settings.path}:{item.line}")
        except ShapeError as error:
            problems.add(item, str(error), error.reason)
            continue
        seed = made.seed
        if seed.id in seen:
            line, file = seen[seed.id]
            where = f" of {file}" if file != item.file else ""
            problems.add(item, f"repeats line {line}{where}", DUPLICATE)
            continue
        seen[seed.id] = item.line, item.file
        problems.kept(made)
        yield seed


def _draw(context: Context, total: int) -> None:
    """Draw the seeds by a hash of their id and `sample_seed`.

    If seeds are added to the file, the draw changes only a little.
    """
    run, settings = context.run, context.run.settings.seeds
    ranked = sorted(rows.ids(run.store), key=lambda seed_id: digest(settings.sample_seed, seed_id))
    heldout = min(settings.heldout, total // HELDOUT_SHARE)
    repeats = run.settings.evaluate.repeats  # if there are enough seeds, two draws of a set have no seed in common
    chosen = min(settings.count * repeats, total - heldout)
    if (chosen, heldout) != (settings.count * repeats, settings.heldout):
        context.emit(
            Note(
                f"{total} seeds are not enough for the settings ({_times(repeats)}count {settings.count} "
                f"+ heldout {settings.heldout}): {chosen} are regenerated and {heldout} are held out",
                "warning",
            )
        )
    rows.assign_roles(run.store, ranked[:chosen], ranked[total - heldout :])


def _times(repeats: int) -> str:
    return f"repeats {repeats} × " if repeats > 1 else ""


def _path(run: Run) -> Path:
    name = run.settings.seeds.path
    return starter_path() if name == STARTER else run.resolve(name)
