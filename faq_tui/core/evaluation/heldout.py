"""The class of a held-out text with its items and columns, and the functions that split texts into items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.kinds import CHOICES, GREEDY, LAST_WORD

Columns = dict[str, list[float]]
SHORT = 256  # a batch may have more items if its items have fewer tokens than this, for example choices
FULL = 256  # a batch with this many tokens already uses almost the full speed of a processor

# two items are similar in length if the shorter item has at least this share of the longer item's tokens
SIMILAR = 0.9


@dataclass(frozen=True)
class Item:
    """The token ids of one item. The model predicts the tokens from index `first` (at least 1)."""

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
    """A multiple-choice question.

    The held-out text has one item for each choice of the question, in the order of the choices.
    """

    answer: int  # index of the right choice
    lengths: tuple[int, ...]  # number of characters of each choice, for acc_norm


@dataclass(frozen=True)
class Heldout:
    kind: str
    items: list[Item]
    # The columns `words` and `bytes`, with one number per item. Only documents have these columns.
    columns: Columns = field(default_factory=dict)
    questions: list[ChoiceQuestion] = field(default_factory=list)
    new_tokens: int = 0  # the models add at most this many tokens to each item; 0 except for greedy answers

    @property
    def digest(self) -> str:
        parts = (self.columns, [asdict(question) for question in self.questions], self.new_tokens)
        more = [part for part in parts if part]
        return digest_of(self.items, *more)

    @property
    def compared(self) -> bool:
        """True if KL and top-1 agreement with the unquantized model are computed for each token."""
        return self.kind not in (CHOICES, GREEDY)

    def __len__(self) -> int:
        """The number of units that the bootstrap draws.

        If the text has questions, a unit is a question. Otherwise a unit is an item.
        """
        return len(self.questions) or len(self.items)

    @property
    def size(self) -> int:
        """The number of tokens that a model must process. The prompts of greedy answers are not counted."""
        if self.new_tokens:
            return self.new_tokens * len(self.items)
        return sum(len(item.ids) for item in self.items)

    def finished(self, sums: Mapping[str, Sequence[float]]) -> Columns:
        """Turn each item's sums (tokens, nll, kl, agree, hits) into the columns that are stored."""
        kept = {name: list(values) for name, values in sums.items() if name != "hits"}
        if self.kind == CHOICES:
            return self._answered(sums["nll"])
        if self.kind == LAST_WORD:
            pairs = zip(sums["hits"], sums["tokens"], strict=True)
            kept["correct"] = [float(hits == tokens) for hits, tokens in pairs]
        return kept | self.columns

    def _answered(self, nll: Sequence[float]) -> Columns:
        """Find the model's choice for each question, and whether this choice is right.

        The function finds two choices per question: the choice with the highest log-likelihood (acc), and the choice
        with the highest log-likelihood per character (acc_norm).
        """
        columns: Columns = {"choice": [], "choice_norm": [], "correct": [], "correct_norm": []}
        start = 0
        for question in self.questions:
            count = len(question.lengths)
            part, start = nll[start : start + count], start + count
            best = min(range(count), key=part.__getitem__)
            norm = min(
                range(count), key=[n / length for n, length in zip(part, question.lengths, strict=True)].__getitem__
            )
            for name, choice in (("", best), ("_norm", norm)):
                columns[f"choice{name}"].append(float(choice))
                columns[f"correct{name}"].append(float(choice == question.answer))
        return columns

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Heldout:
        items = [Item.from_json(item) for item in body["items"]]
        questions = [ChoiceQuestion(q["answer"], tuple(q["lengths"])) for q in body["questions"]]
        return cls(body["kind"], items, body["columns"], questions, body["new_tokens"])


def windows(ids: Sequence[int], size: int, bos: int | None = None) -> list[Item]:
    """Split `ids` into non-overlapping windows of `size` tokens.

    The model does not predict the first token of a window.

    If `bos` is given, each window starts with the token `bos`. Models that were trained with a bos token predict
    badly without it. The last window may be shorter than the others. If the last window has no token to predict, it
    is dropped.
    """
    head = () if bos is None else (bos,)
    step = size - len(head)
    items = (Item((*head, *ids[start : start + step]), 1) for start in range(0, len(ids), step))
    return [item for item in items if item.predicted > 0]


def rolling(ids: Sequence[int], size: int, prefix: int) -> list[Item]:
    """Split `ids` into windows for a model that reads `size` tokens at a time.

    The model predicts each token exactly once.

    The windows are the same as in `loglikelihood_rolling` of lm_eval 0.4.13. That function calls
    `get_rolling_token_windows` of lm_eval/utils.py with context_len 1, and then `make_disjoint_window`. The token
    `prefix` precedes the first token. Each later window starts with one token of context. This context token is the
    last token of the previous window. The last window may have fewer tokens to predict. The last window then starts
    with more tokens of context, so that it is as long as the other windows.
    """
    items = []
    for start in range(0, len(ids), size):
        end = min(start + size, len(ids))
        if start == 0:
            items.append(Item((prefix, *ids[:end]), 1))
        else:
            items.append(Item(tuple(ids[end - size - 1 : end]), size + 1 - (end - start)))
    return items


def digest_of(items: Sequence[Item], *more: object) -> str:
    """A hash of the items and of `more`. `more` holds all other data that can change the measured values."""
    body: list[object] = [item.to_json() for item in items]
    return digest(body, *more) if more else digest(body)


def batches(items: Sequence[Item], size: int) -> list[list[int]]:
    """The indices of each batch. The items of a batch have similar lengths, so that little padding is computed.

    The largest batch comes first, so a lack of memory shows at the first batch. If the items of a batch are shorter
    than SHORT tokens, the batch may have more than `size` items, but at most `size` * SHORT tokens. Any other batch
    has at most `size` items. After a batch has reached FULL tokens, only items that are similar in length to the
    batch's longest item are added to it.
    """
    order = sorted(range(len(items)), key=lambda index: -len(items[index].ids))
    lengths = [len(items[index].ids) for index in order]
    found, start = [], 0
    while start < len(order):
        longest, end = lengths[start], start + 1
        most = start + max(size, size * SHORT // longest)
        while end < min(most, len(order)):
            if (end - start) * longest >= FULL and lengths[end] < SIMILAR * longest:
                break
            end += 1
        found.append(order[start:end])
        start = end
    return sorted(found, key=lambda batch: -len(batch) * len(items[batch[0]].ids))


def starts(lengths: Iterable[int]) -> list[int]:
    """For each item, the number of predicted tokens in all earlier items.

    The last entry is the number of predicted tokens in all items.
    """
    return list(accumulate(lengths, initial=0))


def shared_rows(items: Sequence[Item]) -> dict[int, list[int]]:
    """Find the items that a model need not process, because it processes a longer item with the same start.

    A causal model reads all tokens of an item except the last one. The hidden state of a token does not depend on
    later tokens. If the tokens that the model reads in item A are also the start of item B, the states of B contain
    the states of A. For example, the choices of a question have the same start.

    Returns a dict. The keys of the dict are the indices of the items to process. Each value lists the indices of all
    items that get their states from the processed item. This list begins with the index of the processed item.
    """
    order = sorted(range(len(items)), key=lambda index: items[index].ids[:-1])
    found: dict[int, list[int]] = {}
    host = -1
    for index in reversed(order):  # if another item begins with this item, the next item in `order` does
        row = items[index].ids[:-1]
        if host < 0 or items[host].ids[: len(row)] != row or len(row) >= len(items[host].ids):
            host = index
        found.setdefault(host, []).append(index)
    return dict(sorted(found.items()))


def encode_pair(tokenizer: object, text: str, special: bool | None = None) -> list[int]:
    """Token ids of `text`. If `special` is None, the tokenizer decides whether it adds special tokens."""
    assert callable(tokenizer)
    options = {} if special is None else {"add_special_tokens": special}
    return list(tokenizer(text, verbose=False, **options)["input_ids"])


def item_of_pair(tokenizer: object, context: str, continuation: str, longest: int) -> Item | None:
    """Make an item in which the model predicts only the continuation of a context.

    Returns None if no token of the continuation can be predicted.

    The pair is split as in lm_eval 0.4.13 (`_encode_pair` in lm_eval/api/model.py). Context and continuation are
    encoded as one text. If the context alone has n tokens, the tokens after the first n are the continuation. If the
    model would have to read more than `longest` tokens, the start of the context is cut off.
    """
    whole, before = encode_pair(tokenizer, context + continuation), encode_pair(tokenizer, context)
    first = len(before)
    if not 1 <= first < len(whole):
        return None
    cut = max(0, len(whole) - 1 - longest)
    return Item(tuple(whole[cut:]), first - cut) if cut < first else None
