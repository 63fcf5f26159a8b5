"""Define the metrics: their names, formulas and number formats.

A metric is an instance of a subclass of `Metric`, registered in `METRICS`. The settings, the report and pane 6 read
everything about a metric from that instance. docs/extending/metric.md shows how another package adds a metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, KINDS, LABELLED, LAST_WORD, PROSE, WORDS
from faq_tui.core.extensions import METRICS, Extension
from faq_tui.core.stats.sums import ITEMS, Sums

if TYPE_CHECKING:
    from faq_tui.core.stats.sums import Array

TOKENS = "tokens"  # the column of predicted tokens
FLIPPED = "flipped"  # the column that `with_flips` adds
NOT_MEASURED: Mapping[str, float] = MappingProxyType({})


class Metric(Extension):
    """A number for one model on one held-out text, computed from columns with one number per item.

    The bootstrap draws items: windows of prose, answers, documents, passages or questions. An item's columns are sums
    over its predicted tokens: `tokens` (count), `nll` (nats), `kl` (nats, from the unquantized model) and `agree`
    (same top-1 token). Documents also have `words` and `bytes`. Passages and questions have `correct` and `flipped`.
    Questions have `correct_norm`, but none of the first four.

    `title` is the name in a sentence ("top-1 agreement"), `help` one sentence that says what it measures.
    """

    unit: str  # unit of the value, such as "nats a token"
    higher_is_better: bool
    # By kind of text: smaller differences can be caused by another draw of the calibration set alone. Empty if this
    # was not measured.
    close: Mapping[str, float]
    kinds: tuple[str, ...]  # the kinds of held-out text that have it
    columns: tuple[str, ...]  # the columns of its formula
    percent: bool = False  # a share: written in percent, and its changes in points
    decimals: int = 3  # digits after the point, unless it is a share
    heading: str = ""  # its column in the report's table of models; empty: it has no column there
    heading_kinds: tuple[str, ...] | None = None  # the kinds that have this column; None: all of `kinds`
    heading_rank: int = 100  # columns are sorted by this
    legend: str = ""  # the sentences that explain the column; empty: `help`
    token_column: str = ""  # a column that `token_values` fills; rename it when the formula changes

    def values(self, sums: Sums, weights: Array) -> Array:
        """One value for each row of `weights`, shape [rows, items]: how often each item counts."""
        raise NotImplementedError

    def token_values(self, unquantized: Any, measured: Any, targets: Any) -> Any:
        """The value of each token of a part of an item, shape [tokens], for `token_column`.

        Called in the evaluation's child process. `unquantized` and `measured` are log-probabilities as torch tensors
        of float32, [tokens, vocabulary]; `targets` are the ids of the text's tokens, [tokens]. Do not
        change any of them in place. For the unquantized model both tensors are the same.
        """
        raise NotImplementedError

    def item_value(self, values: Sequence[float]) -> float:
        """The item's number in `token_column`, from the values of all its tokens: their sum."""
        return math.fsum(values)

    def value_of(self, sums: Sums) -> float:
        """The value with each item counted once."""
        import numpy as np

        return float(self.values(sums, np.ones((1, len(sums))))[0])

    def title_for(self, window: int | None) -> str:  # noqa: ARG002  a subclass uses it
        """The name at the head of a table of one text. `window`: the tokens of its windows, None for another kind."""
        return self.title

    def legend_line(self) -> str:
        """The metric's line in the list below the report's table of models."""
        first, second = self.help[:1], self.help[1:2]
        help_ = (
            self.help if second.isupper() else first.lower() + self.help[1:]
        )  # a first word such as "KL" stays in upper case
        return f"- **{self.heading}**: {self.legend or help_}"

    def faults(self) -> list[str]:
        """What is missing or wrong in this object.

        Each text completes a sentence that begins with the metric's name.
        """
        needed = ("name", "title", "help", "unit", "higher_is_better", "close", "kinds", "columns")
        faults = [f"has no {name}" for name in needed if getattr(self, name, None) in (None, "", ())]
        if faults:
            return faults
        faults += [f"names an unknown kind of text {kind!r}" for kind in self.kinds if kind not in KINDS]
        if self.token_column and CHOICES in self.kinds:
            faults.append(f"has a token column and the kind {CHOICES!r}, whose tokens are not compared")
        return faults


class Ratio(Metric):
    """The sum of one column divided by the sum of another, or the exponential of this ratio.

    It is a ratio of sums, not a mean of ratios per item.
    """

    numerator: str
    denominator: str
    exponential: bool = False

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]  # a subclass may still set it
        return tuple(name for name in (self.numerator, self.denominator) if name != ITEMS)

    def values(self, sums: Sums, weights: Array) -> Array:
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean: Array = (weights @ sums.column(self.numerator)) / (weights @ sums.column(self.denominator))
            return np.exp(mean) if self.exponential else mean


class KlDivergence(Ratio):
    """The mean over tokens of KL(p || q), p the unquantized model's distribution over the vocabulary, q this model's.

    KL(p || q) = sum of p (log p - log q) (Kullback and Leibler 1951). llama.cpp's `perplexity --kl-divergence` calls
    it mean KLD.
    """

    name, title, unit = "kl", "KL", "nats a token"
    help = "How far its predictions are from the unquantized model's, in nats a token; 0 is none."
    numerator, denominator = "kl", TOKENS
    higher_is_better = False
    close = MappingProxyType({PROSE: 0.01, ANSWERS: 0.01})  # measured with SmolLM2-135M, GPTQ INT4
    kinds = (PROSE, ANSWERS, WORDS, LAST_WORD)
    decimals = 4
    heading, heading_kinds, heading_rank = "KL", (PROSE, ANSWERS, WORDS), 3


class TokenPerplexity(Ratio):
    """exp(sum of nll / sum of tokens): the exponential of a token's mean negative log-likelihood.

    Jelinek et al. 1977, "Perplexity: a measure of the difficulty of speech recognition tasks".
    """

    name, title, unit = "perplexity", "perplexity", "per token"
    help = "How badly the model predicts the text, per token; depends on the tokenizer and the window."
    numerator, denominator, exponential = "nll", TOKENS, True
    higher_is_better = False
    close = NOT_MEASURED
    kinds = (PROSE, ANSWERS)
    heading, heading_rank = "PPL", 1
    legend = (
        "perplexity per token: how badly the model predicts the text; lower is better. It depends on the tokenizer "
        "and the window, so compare it only within this table."
    )

    def title_for(self, window: int | None) -> str:
        return f"token perplexity, windows of {window}," if window else "token perplexity"


class WordPerplexity(Ratio):
    """exp(sum of nll / sum of words), words as lm_eval counts them for `weighted_perplexity`."""

    name, title, unit = "word_perplexity", "word perplexity", "per word"
    help = "Perplexity per word, computed as in lm_eval and in the paper."
    numerator, denominator, exponential = "nll", "words", True
    higher_is_better = False
    close = NOT_MEASURED
    kinds = (WORDS,)
    heading, heading_rank = "Word PPL", 2
    legend = "perplexity per word, computed as in lm_eval; lower is better."


class BytePerplexity(Ratio):
    """exp(sum of nll / sum of bytes), as lm_eval's `weighted_perplexity` by byte."""

    name, title, unit = "byte_perplexity", "byte perplexity", "per byte"
    help = "Perplexity per byte, computed as in lm_eval."
    numerator, denominator, exponential = "nll", "bytes", True
    higher_is_better = False
    close = NOT_MEASURED
    kinds = (WORDS,)
    decimals = 4


class TopTokenAgreement(Ratio):
    """The share of predicted tokens for which both models have the same top-1 token.

    llama.cpp's `perplexity --kl-divergence` calls it same top p.
    """

    name, title, unit = "top1", "top-1 agreement", "share of tokens"
    help = "How often its most likely next token is also the unquantized model's."
    numerator, denominator = "agree", TOKENS
    higher_is_better, percent = True, True
    close = NOT_MEASURED
    kinds = (PROSE, ANSWERS, WORDS)
    heading, heading_kinds, heading_rank = "Top-1", (PROSE, ANSWERS), 4


class Accuracy(Ratio):
    """The share of items with the right answer: lm_eval's acc."""

    name, title, unit = "accuracy", "accuracy", "share of items"
    help = "Share of items whose last word is predicted correctly or whose right choice is the most likely."
    numerator, denominator = "correct", ITEMS
    higher_is_better, percent = True, True
    close = NOT_MEASURED
    kinds = (LAST_WORD, CHOICES)
    heading, heading_rank = "Acc.", 5


class AccuracyByLength(Ratio):
    """The share of questions whose right choice has the highest log-likelihood per character: lm_eval's acc_norm."""

    name, title, unit = "accuracy_norm", "accuracy by length", "share of items"
    help = "Accuracy with each choice's log-likelihood divided by its length (lm_eval's acc_norm)."
    numerator, denominator = "correct_norm", ITEMS
    higher_is_better, percent = True, True
    close = NOT_MEASURED
    kinds = (CHOICES,)


class LastWordPerplexity(Ratio):
    """exp(sum of nll / items): lm_eval's perplexity of the target word for LAMBADA (Paperno et al. 2016)."""

    name, title, unit = "last_perplexity", "perplexity of the word", "per word"
    help = "How badly it predicts the passage's last word (lm_eval's perplexity of LAMBADA)."
    numerator, denominator, exponential = "nll", ITEMS, True
    higher_is_better = False
    close = NOT_MEASURED
    kinds = (LAST_WORD,)


class FlippedItems(Ratio):
    """The share of items whose correctness differs from the unquantized model's.

    Dutta et al. 2024, "Accuracy is not all you need".
    """

    name, title, unit = "flips", "flips", "share of items"
    help = "Share of items that quantization turned from right to wrong or from wrong to right."
    numerator, denominator = FLIPPED, ITEMS
    higher_is_better, percent = False, True
    close = NOT_MEASURED
    kinds = (LAST_WORD, CHOICES)
    heading, heading_rank = "Flips", 6
    legend = (
        "share of items that quantization turned from right to wrong or from wrong to right; 0 is none. Accuracy "
        "can hide them, because the two directions cancel."
    )


KL, PERPLEXITY, TOP1 = KlDivergence(), TokenPerplexity(), TopTokenAgreement()
WORD_PERPLEXITY, BYTE_PERPLEXITY = WordPerplexity(), BytePerplexity()
ACCURACY, ACCURACY_NORM = Accuracy(), AccuracyByLength()
LAST_PERPLEXITY, FLIPS = LastWordPerplexity(), FlippedItems()


def all_metrics() -> tuple[Metric, ...]:
    """All installed metrics. Raises FaqError if one of another package is incomplete."""
    metrics: tuple[Metric, ...] = METRICS.all()
    for metric in metrics:
        if faults := metric.faults():
            raise FaqError(
                f"the metric {metric.name!r} {faults[0]}: update or uninstall the package that provides it"
            )
    return metrics


def metrics_of(kind: str) -> tuple[Metric, ...]:
    """The metrics of one kind of held-out text, the main one first."""
    return tuple(metric for metric in all_metrics() if kind in metric.kinds)


def main_metric(kind: str) -> Metric:
    """The main metric of a kind of text."""
    return metrics_of(kind)[0]


def metrics_in(kind: str, *columns: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics of this kind whose columns are in all of `columns`, the names that each measurement has.

    A measurement that was made before a metric was installed lacks the metric's token column until the stage
    evaluate has run again.
    """
    shared = set.intersection(*map(set, columns))
    return tuple(metric for metric in metrics_of(kind) if shared.issuperset(metric.columns))


def token_metrics(kind: str) -> tuple[Metric, ...]:
    """The metrics of this kind that have a token column."""
    return tuple(metric for metric in metrics_of(kind) if metric.token_column)


def with_flips(kind: str, sums: Sums, unquantized: Sums) -> Sums:
    """Add the column `flipped` to labelled items: whether the two models disagree about being right."""
    import numpy as np

    if kind not in LABELLED:
        return sums
    return Sums({**sums.columns, FLIPPED: np.abs(sums.columns["correct"] - unquantized.columns["correct"])})
