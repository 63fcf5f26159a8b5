"""The calibration sets of selection.py. Part of selection.py.

A set is a list of rows of token ids with the kind of each token. For each draw, the questions have a random order
that all sets share, so that the draws of two sets can be paired. A set takes rows in this order, or in the order of
its selection, until it has the wanted number of tokens. Its last row is cut, so that all sets have equally many
tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from selection_material import TEMPERATURES, Asked, Material

from faq_tui.core.activations.capture import measure
from faq_tui.core.assembly.coverage_task import greedy_cover
from faq_tui.core.assembly.sample import MIN_TOKENS
from faq_tui.core.chat.render import Rendered, render_answered, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import QUESTION, kinds_of, with_sink

LONGEST = 2048  # a row has at most this number of tokens
PROSE_ROW = 256  # tokens of a row of prose
FIRST = str(TEMPERATURES[0])


@dataclass(frozen=True)
class Row:
    ids: tuple[int, ...]
    kinds: bytes

    def cut(self, tokens: int) -> Row:
        return Row(self.ids[:tokens], self.kinds[:tokens])


@dataclass
class Sets:
    """Builds the rows of a set. `model` is the unquantized model; only selections by activations use it."""

    template: Template
    material: Material
    held_out: int  # the first questions are held out, and are in no set
    prose: str
    model: Any = None
    _cache: dict[str, Any] = field(default_factory=dict)

    def rows(self, name: str, draw: int, tokens: int) -> list[Row]:
        """The rows of the set `name` with `tokens` tokens, or up to 10 fewer, because a shorter row is no row.

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
        """A row with an answer; with `cut`, only the answer's first `cut` tokens. None if it cannot be rendered."""
        try:
            made = render_answered(self.template, [{"role": "user", "content": question}], "", answer)
        except NotAssembledError:
            return None
        end = made.answer[0] + cut if cut and made.answer[1] - made.answer[0] > cut else len(made.ids)
        return _row(made, min(end, LONGEST))

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

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """`make()`, computed only once for all draws."""
        if name not in self._cache:
            self._cache[name] = make()
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
    return _present(sets.answered(one.question, one.greedy, 64) for one in order)


def _prose(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    yield from dice.sample(sets.prose_rows, len(sets.prose_rows))


def _mixed(share: float) -> Builder:
    """`share` of the tokens are prose, and the rest are answers cut to 64 tokens."""

    def rows(sets: Sets, dice: random.Random, tokens: int) -> Rows:
        left = round(share * tokens)
        answers = list(_whole(64)(sets, dice, tokens))
        for row in _prose(sets, dice, tokens):
            if left < MIN_TOKENS:
                break
            yield row.cut(left)
            left -= len(row.cut(left).ids)
        yield from answers

    return rows


def _pool(sets: Sets, dice: random.Random) -> list[tuple[Asked, Row]]:
    """The answers cut to 64 tokens, from which a selection chooses: half of the questions of the draw."""
    order = sets.asked(dice)
    pairs = [(one, sets.answered(one.question, one.greedy, 64)) for one in order[: max(1, len(order) // 2)]]
    return [(one, row) for one, row in pairs if row is not None]


def _centroids(sets: Sets, dice: random.Random, tokens: int) -> Rows:
    """The rows nearest to the centroids of the rows' mean activations (k-means), as ACDM chooses them."""
    import numpy as np

    pool = _pool(sets, dice)
    vectors = np.stack(
        [sets.once(f"mean {one.question}", lambda row=row: _mean_state(sets, row)) for one, row in pool]
    )
    count = max(1, min(len(pool), round(tokens * len(pool) / sum(len(row.ids) for _, row in pool))))
    centres = vectors[:count].copy()
    for _ in range(20):
        nearest = ((vectors[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        for index in range(count):
            if (nearest == index).any():
                centres[index] = vectors[nearest == index].mean(0)
    distances = ((vectors[:, None] - centres[None]) ** 2).sum(-1)
    chosen = list(dict.fromkeys(int(distances[:, index].argmin()) for index in range(count)))
    rest = [index for index in range(len(pool)) if index not in set(chosen)]
    yield from (pool[index][1] for index in [*chosen, *rest])


def _mean_state(sets: Sets, row: Row) -> Any:
    """The mean hidden state of a row at the end of the model, as a unit vector."""
    states = _states(sets, row).float().mean(0)
    return (states / states.norm()).cpu().numpy()


def _states(sets: Sets, row: Row) -> Any:
    from faq_tui.core.models.backbone import Backbone

    return Backbone(sets.model).states([row.ids])[0, : len(row.ids)]


def _entropy(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    """The rows with the highest mean entropy of the unquantized model's predictions come first."""
    pool = _pool(sets, dice)
    scores = [sets.once(f"entropy {one.question}", lambda row=row: _mean_entropy(sets, row)) for one, row in pool]
    yield from (pool[index][1] for index in sorted(range(len(pool)), key=lambda index: -scores[index]))


def _mean_entropy(sets: Sets, row: Row) -> float:
    import torch

    from faq_tui.core.models.backbone import LmHead

    logs = torch.log_softmax(LmHead.of(sets.model).logits(_states(sets, row)), -1)
    return float(-(logs.exp() * logs).sum(-1).mean())


def _experts(sets: Sets, dice: random.Random, _tokens: int) -> Rows:
    """The rows that together reach the most experts come first. The order of a dense model is that of the draw."""
    import numpy as np

    pool = _pool(sets, dice)
    reached = [
        np.concatenate(
            list(sets.once(f"experts {one.question}", lambda row=row: _reached(sets, row)).values()) or [[]]
        )
        for one, row in pool
    ]
    order = greedy_cover(np.stack(reached) > 0) if len(reached[0]) else range(len(pool))
    yield from (pool[index][1] for index in order)


def _reached(sets: Sets, row: Row) -> dict[int, Any]:
    """The number of tokens that each expert of each layer gets from a row."""
    return measure(sets.model, [row.ids]).experts


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
