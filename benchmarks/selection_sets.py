"""The calibration sets of selection.py. Part of selection.py.

A set is a list of rows of token ids with the kind of each token. For each draw, the questions have a random order
that all sets share, so that the draws of two sets can be paired. A set takes rows in this order, or in the order of
its selection, until it has the wanted number of tokens. The last row of a set is cut, so that all sets have the same
number of tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from selection_material import TEMPERATURES, Asked, Material

from faq_tui.core.activations.capture import DEFAULT_MODULES
from faq_tui.core.assembly.coverage_task import greedy_cover
from faq_tui.core.assembly.sample import MIN_TOKENS, answer_cut
from faq_tui.core.assembly.selection_task import (
    centroid_order,
    entropies,
    entropy_order,
    mean_activations,
    routed,
)
from faq_tui.core.base.errors import FaqError
from faq_tui.core.chat.render import Rendered, render_answered, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import ANSWER, KINDS, QUESTION, kinds_of, with_sink
from faq_tui.core.models.backbone import Backbone

LONGEST = 2048  # a row has at most this number of tokens
PROSE_ROW = 256  # tokens of a row of prose
SHORT = 64  # tokens of an answer in the sets from which a selection chooses
FIRST = str(TEMPERATURES[0])


@dataclass(frozen=True)
class Row:
    ids: tuple[int, ...]
    kinds: bytes

    def cut(self, tokens: int) -> Row:
        return Row(self.ids[:tokens], self.kinds[:tokens])


@dataclass
class Sets:
    """Builds the rows of a set. Only `centroids`, `entropy` and `experts` use `model`, the unquantized model."""

    template: Template
    material: Material
    held_out: int  # the first questions are held out, and are in no set
    prose: str
    model: Any = None
    _cache: dict[str, Any] = field(default_factory=dict)

    def rows(self, name: str, draw: int, tokens: int) -> list[Row]:
        """The rows of the set `name`, with `tokens` tokens or up to 10 fewer, because shorter rows are left out.

        If there are too few questions, the set has fewer tokens.
        """
        rows, left = list[Row](), tokens
        for row in BUILDERS[name](self, random.Random(draw), tokens):
            if left < MIN_TOKENS:
                break
            rows.append(row.cut(left))
            left -= len(rows[-1].ids)
        return rows

    def asked(self, dice: random.Random) -> list[Asked]:
        """The questions of a draw, in its order."""
        pool = self.material.questions[self.held_out :]
        return dice.sample(pool, len(pool))

    def answered(self, question: str, answer: str, cut: int = 0) -> Row | None:
        """A row with an answer; with `cut`, only the answer's first `cut` tokens. Returns None if the question cannot
        be rendered."""
        try:
            made = render_answered(self.template, [{"role": "user", "content": question}], "", answer)
        except NotAssembledError:
            return None
        return _row(answer_cut(made, cut) if cut else made, LONGEST)

    def seed(self, question: str, answer: str | None = None) -> Row | None:
        try:
            return _row(render_seed(self.template, [{"role": "user", "content": question}], answer), LONGEST)
        except NotAssembledError:
            return None

    @cached_property
    def prose_rows(self) -> list[Row]:
        ids, _ = self.template.encode(self.prose)
        rows = [tuple(ids[start : start + PROSE_ROW]) for start in range(0, len(ids) - PROSE_ROW, PROSE_ROW)]
        return [Row(row, with_sink(kinds_of(len(row), [], QUESTION))) for row in rows]

    @cached_property
    def number(self) -> dict[str, int]:
        """Maps each question whose short answer can be rendered to the index of its result in `described`."""
        return {question: index for index, question in enumerate(self._short)}

    @cached_property
    def _short(self) -> dict[str, Row]:
        pool = self.material.questions[self.held_out :]
        rows = {one.question: self.answered(one.question, one.greedy, SHORT) for one in pool}
        return {question: row for question, row in rows.items() if row is not None}

    def described(self, name: str, describe: Callable[[list[Any], list[list[int]]], Any]) -> Any:
        """What `describe` returns for the short answers to all questions. `describe` is called only once for all
        draws.

        `describe` gets the token ids of each row, and the positions of each row's answer.
        """
        if name not in self._cache:
            rows = list(self._short.values())
            replies = [[at for at, kind in enumerate(row.kinds) if kind == KINDS.index(ANSWER)] for row in rows]
            self._cache[name] = describe([row.ids for row in rows], replies)
        return self._cache[name]


def _row(made: Rendered, tokens: int) -> Row | None:
    row = Row(tuple(made.ids[:tokens]), with_sink(made.kinds[:tokens]))
    return row if len(row.ids) >= MIN_TOKENS else None


Rows = Iterator[Row]
Builder = Callable[[Sets, random.Random, int], Rows]


def _present(rows: Iterator[Row | None]) -> Rows:
    return (row for row in rows if row is not None)


def _seeds(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    return _present(sets.seed(one.question) for one in sets.asked(dice))


def _references(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    return _present(sets.seed(one.question, one.reference) for one in sets.asked(dice) if one.reference)


def _whole(cut: int = 0) -> Builder:
    return lambda sets, dice, _tokens: _present(
        sets.answered(one.question, one.greedy, cut) for one in sets.asked(dice)
    )


def _sampled(temperature: float) -> Builder:
    return lambda sets, dice, _tokens: _present(
        sets.answered(one.question, one.sampled[str(temperature)][0]) for one in sets.asked(dice)
    )


def _candidates(choose: Callable[[Asked, random.Random], list[int]]) -> Builder:
    """Answers of the first temperature. `choose` returns the indexes of a question's candidates."""

    def rows(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
        order = sets.asked(dice)
        for one in order:
            yield from _present(sets.answered(one.question, one.sampled[FIRST][index]) for index in choose(one, dice))

    return rows


def _best(one: Asked, _dice: random.Random) -> list[int]:
    return [max(range(len(one.scores)), key=one.scores.__getitem__)]


def _random(one: Asked, dice: random.Random) -> list[int]:
    return [dice.randrange(len(one.sampled[FIRST]))]


def _every(one: Asked, _dice: random.Random) -> list[int]:
    return list(range(len(one.sampled[FIRST])))


def _own(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    pool = sets.material.own_questions
    order = dice.sample(pool, len(pool))
    return _present(sets.answered(one.question, one.greedy, SHORT) for one in order)


def _prose(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    yield from dice.sample(sets.prose_rows, len(sets.prose_rows))


def _mixed(share: float) -> Builder:
    """`share` of the tokens are prose, and the rest are answers cut to 64 tokens."""

    def rows(sets: Sets, dice: random.Random, tokens: int) -> Rows:
        left = round(share * tokens)
        answers = list(_whole(SHORT)(sets, dice, tokens))
        for row in _prose(sets, dice, tokens):
            if left < MIN_TOKENS:
                break
            yield row.cut(left)
            left -= len(row.cut(left).ids)
        yield from answers

    return rows


def _pool(sets: Sets, dice: random.Random) -> list[tuple[Asked, Row]]:
    """The answers cut to SHORT tokens, from which a selection chooses: half of the questions of the draw."""
    order = sets.asked(dice)
    pairs = [(one, sets.answered(one.question, one.greedy, SHORT)) for one in order[: max(1, len(order) // 2)]]
    return [(one, row) for one, row in pairs if row is not None]


def _centroids(sets: Sets, dice: random.Random, tokens: int) -> Rows:
    """One row of each cluster of the rows' mean activations comes first (`select = "centroid"`)."""
    pool = _pool(sets, dice)
    means = sets.described("means", lambda rows, _: mean_activations(sets.model, rows, DEFAULT_MODULES, nothing))
    wanted = round(tokens * len(pool) / sum(len(row.ids) for _, row in pool))
    order = centroid_order(means[[sets.number[one.question] for one, _ in pool]], max(1, wanted))
    yield from (pool[index][1] for index in order)


def _entropy(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    """The rows with the highest entropy of the model's predictions come first (`select = "entropy"`)."""
    pool = _pool(sets, dice)
    values = sets.described(
        "entropies", lambda rows, replies: entropies(Backbone(sets.model), rows, replies, nothing)
    )
    order = entropy_order([values[sets.number[one.question]] for one, _ in pool])
    yield from (pool[index][1] for index in order)


def _experts(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    """The rows that together reach the most experts come first. A dense model has no such set."""
    pool = _pool(sets, dice)
    try:
        reached = sets.described("experts", lambda rows, _: routed(sets.model, rows, nothing))
    except FaqError:
        return
    order = greedy_cover(reached[[sets.number[one.question] for one, _ in pool]])
    yield from (pool[index][1] for index in order)


def nothing() -> None:
    """Replaces the check for a stop request: it never stops the work."""


BUILDERS: Mapping[str, Builder] = {
    "seeds": _seeds,
    "references": _references,
    "self": _whole(),
    "self-256": _whole(256),
    "self-128": _whole(128),
    "self-64": _whole(64),
    "self-32": _whole(32),
    "t0.7": _sampled(0.7),
    "t1.0": _sampled(1.0),
    "best": _candidates(_best),
    "random": _candidates(_random),
    "all-three": _candidates(_every),
    "own-questions": _own,
    "prose": _prose,
    "prose20": _mixed(0.2),
    "prose50": _mixed(0.5),
    "pool": lambda sets, dice, _tokens: (row for _, row in _pool(sets, dice)),
    "centroids": _centroids,
    "entropy": _entropy,
    "experts": _experts,
}
