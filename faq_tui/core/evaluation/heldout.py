"""One held-out text as it is measured: its items, and what its metrics need besides the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.kinds import CHOICES, LAST_WORD

Columns = dict[str, list[float]]
SHORT = 256  # tokens: a choice or a passage is far shorter, and a model is idle over four of them


@dataclass(frozen=True)
class Item:
    """Token ids, of which those from index `first` (at least 1) on are predicted."""

    ids: tuple[int, ...]
    first: int

    @property
    def predicted(self) -> int:
        return len(self.ids) - self.first

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Item:
        return cls(tuple(body["ids"]), body["first"])


@dataclass(frozen=True)
class ChoiceQuestion:
    """One multiple-choice question: an item for each choice, one after the other."""

    answer: int  # index of the right choice
    lengths: tuple[int, ...]  # characters of each choice, by which acc_norm divides


@dataclass(frozen=True)
class Heldout:
    kind: str
    items: list[Item]
    columns: Columns = field(default_factory=dict)  # of each item: words and bytes of a rolled document
    questions: list[ChoiceQuestion] = field(default_factory=list)

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
        questions = [ChoiceQuestion(q["answer"], tuple(q["lengths"])) for q in body["questions"]]
        return cls(body["kind"], items, body["columns"], questions)


def windows(ids: Sequence[int], size: int, bos: int | None = None) -> list[Item]:
    """Non-overlapping windows of `size` tokens; each starts fresh and its first token is not predicted.

    With `bos` that is each window's first token, since such models are lost without it. A shorter last
    window is kept if there is anything to predict in it.
    """
    head = () if bos is None else (bos,)
    step = size - len(head)
    found = (Item((*head, *ids[start : start + step]), 1) for start in range(0, len(ids), step))
    return [item for item in found if item.predicted > 0]


def rolling(ids: Sequence[int], size: int, prefix: int) -> list[Item]:
    """All of `ids` predicted once, by a model that reads `size` tokens at a time.

    The windows of lm_eval 0.4.13 for `loglikelihood_rolling`: `get_rolling_token_windows` of lm_eval/utils.py
    with context_len 1, then `make_disjoint_window`. `prefix` stands before the first token; a later window has
    the token before it as its context, the last and shorter one as many as the model still can read.
    """
    found = []
    for start in range(0, len(ids), size):
        end = min(start + size, len(ids))
        if start == 0:
            found.append(Item((prefix, *ids[:end]), 1))
        else:
            found.append(Item(tuple(ids[end - size - 1 : end]), size + 1 - (end - start)))
    return found


def digest_of(items: Sequence[Item], *more: object) -> str:
    """The same for two texts that a model cannot tell apart; `more` is what else shapes their sums."""
    body: list[object] = [item.to_json() for item in items]
    return digest(body, *more) if more else digest(body)


def batches(items: Sequence[Item], size: int) -> Iterator[list[int]]:
    """Indices of items of similar length, longest first, so that a batch too large shows at once.

    `size` items a batch; of short ones as many as hold the tokens of `size` items of SHORT tokens.
    """
    order = sorted(range(len(items)), key=lambda index: -len(items[index].ids))
    while order:
        rows = max(size, size * SHORT // len(items[order[0]].ids))
        yield order[:rows]
        order = order[rows:]


def encode_pair(tokenizer: object, text: str, special: bool | None = None) -> list[int]:
    """Token ids; `special` None leaves it to the tokenizer whether a text begins with a special token."""
    assert callable(tokenizer)
    options = {} if special is None else {"add_special_tokens": special}
    return list(tokenizer(text, verbose=False, **options)["input_ids"])


def item_of_pair(tokenizer: object, context: str, continuation: str, longest: int) -> Item | None:
    """Only the continuation is predicted; None where nothing of it is left to predict.

    Split as in lm_eval 0.4.13 (`_encode_pair` in lm_eval/api/model.py): both are encoded as one text, and what
    is longer than the context alone is the continuation. A context too long loses its head; `longest` is in
    tokens.
    """
    whole, before = encode_pair(tokenizer, context + continuation), encode_pair(tokenizer, context)
    first = len(before)
    if not 1 <= first < len(whole):
        return None
    cut = max(0, len(whole) - 1 - longest)
    return Item(tuple(whole[cut:]), first - cut) if cut < first else None
