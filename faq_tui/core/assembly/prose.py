"""Rows of plain text for the part `prose` of a set. The set's key `prose_file` names the text file from which the
rows are cut. The rows have no chat template.

The text is divided into pieces of equal length. Each piece is divided into rows of equal token count. The order of
the pieces is random and depends only on the random seed. Therefore two sets with the same file and the same longest
row use the same rows.
"""

from __future__ import annotations

import filecmp
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from faq_tui.core.assembly.sample import MIN_TOKENS, Sample
from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.chat.render import PREFIX
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import KINDS, QUESTION, with_sink
from faq_tui.core.run.run import Run
from faq_tui.core.settings.sets import PROSE, SetPlan
from faq_tui.core.store import seeds as seed_rows

LONGEST = 1 << 26  # number of bytes that are read from the beginning of the file
PIECE = 16  # a piece has this many characters for each token of the longest row


@dataclass(frozen=True)
class Prose:
    """The text of one prose file, and the position where a draw begins to read it.

    `begin` (0 to 1) says at which piece a draw begins. Each draw begins at a different piece, so that two draws share
    as few pieces as possible.
    """

    text: str
    template: Template
    key: object
    begin: float = 0.0

    def rows(self, longest: int) -> Iterator[Sample]:
        """Yield all rows with `longest` tokens first. The shorter remainders of the pieces come last.

        Special tokens are removed from the text. A piece that the tokenizer cannot encode is skipped.
        """
        remainders = []
        for start, text in self._pieces(PIECE * longest):
            try:
                ids, _ = self.template.encode(text)
            except NotAssembledError:
                continue
            for at in range(0, len(ids), longest):
                row = self._sample(start, at, ids[at : at + longest])
                if len(row.input_ids) == longest:
                    yield row
                elif len(row.input_ids) >= MIN_TOKENS:
                    remainders.append(row)
        yield from remainders

    def _pieces(self, length: int) -> Iterator[tuple[int, str]]:
        """Yield (offset of the piece in characters, text of the piece) in random order."""
        starts = sorted(range(0, len(self.text), length), key=lambda start: digest("prose", self.key, start))
        first = int(self.begin * len(starts))
        for start in (*starts[first:], *starts[:first]):
            yield start, self._plain(self.text[start : start + length])

    def _plain(self, text: str) -> str:
        """The text without special tokens and without faq-tui's placeholders."""
        unwanted = [*self.template.specials, PREFIX]
        while any(special in text for special in unwanted):
            for special in unwanted:
                text = text.replace(special, "")
        return text

    def _sample(self, start: int, at: int, ids: list[int]) -> Sample:
        kept = tuple(ids)
        return Sample(
            seed_id=f"{PROSE}:{start}:{at}",
            candidate_id=None,
            source=PROSE,
            text=self.template.decode(kept),
            input_ids=kept,
            n_tokens=len(kept),
            n_tokens_full=len(kept),
            picked_by=None,
            way=PROSE,
            kinds=with_sink(bytes([KINDS.index(QUESTION)]) * len(kept)),
        )


def read_prose(run: Run, name: str) -> str:
    """Read at most `LONGEST` bytes of the prose file of the set `name`.

    Raises UsageError if the file cannot be read.
    """
    plan, key = run.settings.set_plans()[name], f"sets.{name}.prose_file"
    path = run.resolve(plan.prose_file or "")
    if not path.is_file():
        raise UsageError(f"there is no text file {path}: correct {key}")
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST)
    except OSError as error:
        raise UsageError(f"cannot read {path} of {key} ({error.strerror}): give a readable file") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(data) < LONGEST or error.reason != "unexpected end of data":
            raise UsageError(f"{path} of {key} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
        # the last character may be incomplete, because only LONGEST bytes were read
        text = data[: error.start].decode("utf-8")
    return text.removeprefix("\ufeff")


def check_prose(run: Run) -> None:
    """Check the text files of all sets before a run. Raises UsageError if a file is unusable or surely too short.

    The number of prose tokens in a set is known only after the stage `assemble`. Before the stage, this function
    computes a lower bound for the characters of the prose file from the characters of all questions.
    """
    plans = {name: plan for name, plan in run.settings.set_plans().items() if plan.prose_share}
    if not plans:
        return
    chosen = seed_rows.StoredSeeds(run.store, seed_rows.ids_by_role(run.store, "chosen"))
    questions = sum(len(seed.question) for seed in chosen)
    held_out = {run.resolve(name) for name in _held_out(run)}
    for name, plan in plans.items():
        text, key = read_prose(run, name), f"sets.{name}.prose_file"
        path = run.resolve(plan.prose_file or "")
        if path in held_out or any(_same(path, other) for other in held_out):
            raise UsageError(
                f"{key} {plan.prose_file} is also a held-out text of [evaluate], and a set must not contain "
                "held-out text: give another file"
            )
        needed = MIN_TOKENS
        if plan.prose_share < 1.0 and not plan.has_size:
            needed = max(needed, int(questions * plan.prose_share / (1.0 - plan.prose_share)))
        if len(text.strip()) < needed:
            raise UsageError(
                f"{key} {plan.prose_file} has only {len(text.strip()):,} characters, but the set needs at least "
                f"{needed:,}: give a longer file, or a smaller share of {PROSE}"
            )


def _held_out(run: Run) -> list[str]:
    evaluate = run.settings.evaluate
    return [*evaluate.perplexity, *evaluate.word_perplexity, *evaluate.last_word]


def _same(path: Path, other: Path) -> bool:
    """True if both files begin with the same `LONGEST` bytes, so that one file is a copy of the other."""
    with suppress(OSError):
        if other.is_file() and other.stat().st_size == path.stat().st_size:
            return filecmp.cmp(path, other, shallow=False)
    return False


def state(run: Run, plan: SetPlan) -> str | None:
    """A hash of the text that the plan's file holds now; None if there is no such file."""
    with suppress(OSError, UsageError):
        path = run.resolve(plan.prose_file or "")
        if path.is_file():
            stat = path.stat()
            return _hash_of(path, stat.st_size, stat.st_mtime_ns)
    return None


@lru_cache(maxsize=64)
def _hash_of(path: Path, _size: int, _changed: int) -> str:
    """A hash of the first `LONGEST` bytes of the file. The result is cached until the file changes."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(LONGEST)).hexdigest()[:16]
