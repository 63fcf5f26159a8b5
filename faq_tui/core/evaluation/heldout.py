"""One held-out text as it is measured: its items, and what its metrics need besides the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from faq_tui.core.evaluation.items import Item, digest_of
from faq_tui.core.evaluation.kinds import CHOICES, LAST_WORD

Columns = dict[str, list[float]]


@dataclass(frozen=True)
class Question:
    """One multiple-choice question: an item for each choice, one after the other."""

    answer: int  # index of the right choice
    lengths: tuple[int, ...]  # characters of each choice, by which acc_norm divides


@dataclass(frozen=True)
class Heldout:
    kind: str
    items: list[Item]
    columns: Columns = field(default_factory=dict)  # of each item: words and bytes of a rolled document
    questions: list[Question] = field(default_factory=list)

    @property
    def digest(self) -> str:
        more = [part for part in (self.columns, [asdict(question) for question in self.questions]) if part]
        return digest_of(self.items, *more)

    @property
    def compared(self) -> bool:
        """Whether the unquantized model's states are needed: for KL and top-1, token by token."""
        return self.kind != CHOICES

    def __len__(self) -> int:
        """What the bootstrap draws."""
        return len(self.questions) or len(self.items)

    @property
    def size(self) -> int:
        """Tokens that go through a model."""
        return sum(len(item.ids) for item in self.items)

    def finished(self, sums: Mapping[str, Sequence[float]]) -> Columns:
        """From each item's sums (tokens, nll, kl, agree, hits) to the columns that are stored."""
        kept = {name: list(values) for name, values in sums.items() if name != "hits"}
        if self.kind == CHOICES:
            return self._answered(sums["nll"])
        if self.kind == LAST_WORD:
            pairs = zip(sums["hits"], sums["tokens"], strict=True)
            kept["correct"] = [float(hits == tokens) for hits, tokens in pairs]
        return kept | self.columns

    def _answered(self, nll: Sequence[float]) -> Columns:
        """The likeliest choice of each question, plain and per character, as lm_eval's acc and acc_norm have it."""
        found: Columns = {"choice": [], "choice_norm": [], "correct": [], "correct_norm": []}
        start = 0
        for question in self.questions:
            count = len(question.lengths)
            part, start = nll[start : start + count], start + count
            best = min(range(count), key=part.__getitem__)
            norm = min(
                range(count), key=[n / length for n, length in zip(part, question.lengths, strict=True)].__getitem__
            )
            for name, choice in (("", best), ("_norm", norm)):
                found[f"choice{name}"].append(float(choice))
                found[f"correct{name}"].append(float(choice == question.answer))
        return found

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Heldout:
        items = [Item.from_json(item) for item in body["items"]]
        questions = [Question(q["answer"], tuple(q["lengths"])) for q in body["questions"]]
        return cls(body["kind"], items, body["columns"], questions)
