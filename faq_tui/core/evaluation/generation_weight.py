"""Weigh generated tokens against tokens that are only read, for the time left of an evaluation.

A model reads many tokens of a text at once, but it generates the tokens of an answer one after another. So a
generated token takes as long as several tokens that are read. The ratio depends on the machine and on the model, so
it is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.evaluation.compare import measure
from faq_tui.core.evaluation.heldout import FULL, Item
from faq_tui.core.models.backbone import Backbone

FIRST_STEPS = 2  # the first step also reads the prompts, and the second may still prepare memory
TIMED_STEPS = 8


class GenerationWeight:
    """The number of tokens that a model can read in the time in which it generates one token.

    `value` is 1 until the weight is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.value, self.known = 1.0, False
        self._clock = clock
        self._reading: float | None = None  # seconds for each token that is read
        self._steps, self._tokens, self._since = 0, 0, 0.0

    def read(self, model: Any, rows: Iterable[Sequence[int]], cancel: CancelToken) -> None:
        """Measure how fast `model` reads the start of the longest row.

        Without rows, all work is generation. Generated tokens then count as one token.
        """
        longest = max(rows, key=len, default=())
        if len(longest) < 2:
            self.known = True
        if self.known or self._reading is not None:
            return
        item, cut = Item(tuple(longest[: FULL + 1]), 1), Backbone(model)
        for _ in range(2):  # the first time, weights may have to come from the disk
            began = self._clock()
            measure(cut, [item], 1, cancel, lambda _tokens: None)
            self._reading = (self._clock() - began) / len(item.ids)

    @contextmanager
    def counted(
        self, count: Callable[[float], None], became_known: Callable[[], None]
    ) -> Iterator[Callable[[int], None]]:
        """A function that takes the number of tokens that were generated at once, and passes their weight to `count`.

        As long as the weight is not known, `count` gets 0, so no time is estimated. `became_known` is called before
        all tokens up to then are counted.
        """
        uncounted = 0

        def generated(tokens: int) -> None:
            nonlocal uncounted
            uncounted += tokens
            if not self.known and self._step(tokens):
                became_known()
            count(uncounted * self.value if self.known else 0)
            uncounted = 0 if self.known else uncounted

        yield generated
        if uncounted:
            self.known = True  # the answers were so short that their weight does not matter
            count(uncounted * self.value)

    def _step(self, tokens: int) -> bool:
        """Measure one step of the generation. Returns True if the weight became known by this step."""
        if not self._reading:
            return False
        self._steps += 1
        if self._steps == FIRST_STEPS:
            self._since = self._clock()
        elif self._steps > FIRST_STEPS:
            self._tokens += tokens
        if self._steps == FIRST_STEPS + TIMED_STEPS:
            self.value = (self._clock() - self._since) / self._tokens / self._reading
            self.known = True
        return self.known
