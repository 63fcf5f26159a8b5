"""Add prose to the conversations of a set, until the prose makes up the requested share of the set's tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice

from faq_tui.core.assembly.matching import Decode, cut_evenly, cut_to_tokens
from faq_tui.core.assembly.sample import MIN_TOKENS, Sample
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import counted


@dataclass(frozen=True)
class Blend:
    """The prose of one set. `rows` makes an iterator over rows of at most `longest` tokens, the longest rows first.

    `share` is the prose's share of the set's tokens. `file` is the name of the text file, for error messages.
    """

    set_name: str
    share: float
    longest: int
    rows: Callable[[], Iterator[Sample]]
    decode: Decode
    file: str

    def beside(self, conversation_tokens: int) -> int:
        """The number of prose tokens for a set whose conversations have `conversation_tokens` tokens."""
        return max(MIN_TOKENS, round(conversation_tokens * self.share / (1.0 - self.share)))

    def of_budget(self, budget: int) -> int:
        """The number of prose tokens in a set of `budget` tokens."""
        return min(budget, max(MIN_TOKENS, round(budget * self.share)))

    def fitting(self, conversations: Sequence[Sample], count: int) -> int:
        """The largest number of conversations in a set of `count` samples that still leaves room for the prose."""
        sums = accumulate(sample.n_tokens for sample in conversations)
        fits = [n for n, total in enumerate(sums, 1) if n + math.ceil(self.beside(total) / self.longest) <= count]
        return max(fits, default=min(1, len(conversations)))

    def first(self, budget: int) -> list[Sample]:
        """The first rows of prose, with `budget` tokens in total. Raises FaqError if the file is too short."""
        taken, left = list[Sample](), budget
        for row in self.rows():
            taken.append(row)
            left -= row.n_tokens
            if left <= 0:
                break
        return self._checked(cut_to_tokens(taken, budget, self.decode), budget)

    def even(self, count: int, budget: int | None) -> list[Sample]:
        """`count` rows of prose, with `budget` tokens in total. The longest rows are cut to a common length.

        Without a budget, the rows are not cut. Raises FaqError if the file is too short.
        """
        taken = list(islice(self.rows(), count))
        if len(taken) < count:
            raise FaqError(
                f"set {self.set_name} needs {counted(count, 'row')} of prose, but {self.file} has only "
                f"{len(taken):,}: give a longer file"
            )
        return taken if budget is None else self._checked(cut_evenly(taken, budget, self.decode), budget)

    def _checked(self, rows: list[Sample], budget: int) -> list[Sample]:
        tokens = sum(row.n_tokens for row in rows)
        if tokens <= budget - MIN_TOKENS:
            raise FaqError(
                f"set {self.set_name} needs {counted(budget, 'token')} of prose, but {self.file} gives only "
                f"{tokens:,}: give a longer file, or a smaller share of prose"
            )
        return [replace(row, n_tokens_full=row.n_tokens) for row in rows]


def interleaved(conversations: Sequence[Sample], prose: Sequence[Sample]) -> list[Sample]:
    """Merge conversations and prose into one list. The conversations keep their order, and the prose keeps its order.

    For every n, the first n samples have about the same share of prose as the whole list.
    """
    parts = conversations, prose
    places = [(at, kind, n) for kind, part in enumerate(parts) for n, at in enumerate(_middles(part))]
    return [parts[kind][n] for _, kind, n in sorted(places)]


def _middles(samples: Sequence[Sample]) -> list[float]:
    """The position of each sample: the number of tokens before its middle, divided by the tokens of all samples."""
    total = sum(sample.n_tokens for sample in samples)
    ends = accumulate(sample.n_tokens for sample in samples)
    return [(end - sample.n_tokens / 2) / total for end, sample in zip(ends, samples, strict=True)]
