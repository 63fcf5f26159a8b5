"""The stage `seeds`: read the seeds, report problems, and draw the seeds to regenerate and the held-out seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.hashing import digest, sorted_by_digest
from faq_tui.core.base.kept import Kept
from faq_tui.core.base.text import counted
from faq_tui.core.chat.dialects import begins_with_reasoning
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, SeedSkipped, StageStarted
from faq_tui.core.run.run import Run
from faq_tui.core.seeds import Problem, Record, read_records
from faq_tui.core.seeds.content import content_of
from faq_tui.core.seeds.files import named_files, state_of
from faq_tui.core.seeds.read import STARTER, starter_path
from faq_tui.core.seeds.reasons import DUPLICATE, ENCODING, LEFT_OUT, ShapeError, in_short, reason_of
from faq_tui.core.seeds.shapes import SeedOfRecord, read_seed
from faq_tui.core.settings import Seeds
from faq_tui.core.store import candidates, seed_search
from faq_tui.core.store import seeds as rows
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.stages import StageRow

HELDOUT_SHARE = 5  # at most one seed in five is held out
SIGNED_BY_CONTENT = "content:"  # the start of signatures that depend on the contents of the seed files
MOST_READ_AGAIN = 64 << 20  # at most this many bytes of seed files are read again to check an old signature


def signature(run: Run) -> str:
    """A hash of the settings and of the contents of the seed files.

    The modification time of a file does not matter, so the stage stays finished if the run's files are copied to
    another machine. The stage also stays finished if faq-tui, which contains the starter seeds, is installed again.
    """
    content = content_of(_path(run), run.settings.seeds.path, _kept(run))
    return SIGNED_BY_CONTENT + _digest(run, content)


def holds(run: Run, row: StageRow) -> bool:
    """True if the stage is up to date, although its signature comes from an earlier version of faq-tui.

    The signatures of earlier versions contained the size and the modification time of each seed file. If only the
    time has changed, but the stage would draw exactly the stored seeds again, the signature still holds.
    """
    if row.signature.startswith(SIGNED_BY_CONTENT):
        return False
    path, name = _path(run), run.settings.seeds.path
    if row.signature == _digest(run, state_of(path, name)):
        return True
    files = named_files(path, name)
    if not files or sum(file.stat().st_size for file in files) > MOST_READ_AGAIN:
        return False
    state = [row.signature, signature(run), row.started]
    return bool(_kept(run).get("draws the stored seeds", state, lambda: _draws_the_stored(run)))


def _digest(run: Run, files: object) -> str:
    repeats = run.settings.evaluate.repeats
    return digest(run.settings.seeds.model_dump(), files, *([repeats] if repeats > 1 else []))


def _kept(run: Run) -> Kept:
    return Kept(run.cache / "seed_files.json")


def would_draw(run: Run) -> tuple[str, ...] | None:
    """The ids of the seeds that the stage would choose now.

    None if the seed files cannot be read, or are larger than `MOST_READ_AGAIN`, or if the seeds are a data set.
    """
    files = named_files(_path(run), run.settings.seeds.path)
    if not files or sum(file.stat().st_size for file in files) > MOST_READ_AGAIN:
        return None
    found = _read_silently(run)
    return None if found is None else tuple(_drawn(run, [seed.id for seed in found])[0])


def _read_silently(run: Run) -> list[Seed] | None:
    """The seeds of the files, without events. None if they cannot be read."""
    context = Context(run, lambda _event: None, CancelToken(), "")
    try:
        return list(_good_seeds(context, _Problems(context)))
    except (FaqError, OSError):
        return None


def _draws_the_stored(run: Run) -> bool:
    """True if reading the seed files again would give exactly the stored seeds and roles."""
    found = _read_silently(run)
    if found is None:
        return False
    stored = rows.stored_seeds(run.store)
    if found != [seed for seed, _ in stored]:
        return False
    chosen, heldout = _drawn(run, [seed.id for seed in found])
    roles = dict.fromkeys(chosen, "chosen") | dict.fromkeys(heldout, "heldout")
    return all(role == roles.get(seed.id, "pool") for seed, role in stored)


def execute(context: Context) -> str:
    run, settings = context.run, context.run.settings.seeds
    context.emit(StageStarted("seeds", None, "seeds"))
    before = set(rows.ids_by_role(run.store, "chosen"))
    problems = _Problems(context)
    total = rows.replace_all(run.store, _good_seeds(context, problems))
    rows.record_skips(run.store, problems.reasons)
    seed_search.build(run.store, context.cancel.check)
    if not total:
        unread = problems.reasons.get(ENCODING, 0)
        hint = f", and set seeds.encoding, because {unread} of them are not in UTF-8" if unread else ""
        raise UsageError(f"{settings.path} contains no usable seed{problems.summary()}: check its lines{hint}")
    repeats = problems.reasons.get(DUPLICATE, 0)
    if total == 1 and repeats:
        lines = counted(repeats, "more line repeats", "more lines repeat")
        raise UsageError(f"{settings.path} contains only one seed: {lines} it; add other seeds")
    problems.emit_notes()
    _draw(context, total)
    _note_undrawn(context, before)
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
        """Count the parts of the record that were left out of the seed."""
        self.left_out.update(made.left_out)
        self.reasoned += begins_with_reasoning(made.seed.answer or "")

    def summary(self) -> str:
        listed = in_short(self.reasons)
        return f" ({listed} skipped)" if listed else ""

    def emit_notes(self) -> None:
        for name, count in self.left_out.items():
            self.context.emit(Note(f"in {counted(count, 'seed')} {LEFT_OUT[name]}"))
        if self.reasoned:
            self.context.emit(
                Note(
                    f"in {counted(self.reasoned, 'seed')} the original answer begins with reasoning; "
                    "if the target's template writes reasoning, the sets keep the reasoning apart from the answer"
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

    Therefore most of the drawn seeds stay the same if a few seeds are added to the file.
    """
    run, settings = context.run, context.run.settings.seeds
    repeats = run.settings.evaluate.repeats
    chosen_ids, heldout_ids = _drawn(run, rows.ids(run.store))
    chosen, heldout = len(chosen_ids), len(heldout_ids)
    if (chosen, heldout) != (settings.count * repeats, settings.heldout):
        context.emit(
            Note(
                f"{total} seeds are not enough for the settings ({_times(repeats)}count {settings.count} "
                f"+ heldout {settings.heldout}): {chosen} are regenerated and {heldout} are held out",
                "warning",
            )
        )
    rows.assign_roles(run.store, chosen_ids, heldout_ids)


def _note_undrawn(context: Context, before: set[str]) -> None:
    """Say how many candidates are not used any more, because their seeds are not drawn again."""
    store = context.run.store
    lost = before.difference(rows.ids_by_role(store, "chosen"))
    count = candidates.count_of_seeds(store, lost)
    if count:
        undrawn = counted(len(lost), "seed that is", "seeds that are")
        text = f"{counted(count, 'candidate')} of {undrawn} not drawn any more will not be used; they "
        context.emit(Note(f"{text}stay in the database, and the old numbers in [seeds] use them again"))


def _drawn(run: Run, seed_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ids of the seeds to regenerate, and the ids of the held-out seeds."""
    settings = run.settings.seeds
    ranked = sorted_by_digest(settings.sample_seed, seed_ids)
    chosen, heldout = role_counts(settings, len(ranked), run.settings.evaluate.repeats)
    return ranked[:chosen], ranked[len(ranked) - heldout :]


def role_counts(settings: Seeds, total: int, repeats: int = 1) -> tuple[int, int]:
    """The number of seeds to regenerate and the number of held-out seeds, out of `total` seeds.

    If there are enough seeds, the draws of a set (`repeats` is their number) have no seed in common.
    """
    heldout = min(settings.heldout, total // HELDOUT_SHARE)
    return min(settings.count * repeats, total - heldout), heldout


def _times(repeats: int) -> str:
    return f"repeats {repeats} × " if repeats > 1 else ""


def _path(run: Run) -> Path:
    name = run.settings.seeds.path
    return starter_path() if name == STARTER else run.resolve(name)
