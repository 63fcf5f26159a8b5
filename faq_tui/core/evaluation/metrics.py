"""Define the metrics: their names, formulas and number formats.

A metric is an object of a subclass of `Metric`, and `METRICS` lists all metrics. The settings, the report and pane 6
read all facts about a metric from its object. The page docs/extending/metric.md shows how another package adds a
metric.
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

TOKENS = "tokens"  # the name of the column with the number of predicted tokens
FLIPPED = "flipped"  # the name of the column that `with_flips` adds
NOT_MEASURED: Mapping[str, float] = MappingProxyType({})
SHARE, NOT_NEGATIVE = (0.0, 1.0), (0.0, math.inf)  # values of `Metric.bounds`


class Metric(Extension):
    """A metric gives one number for a model on a held-out text.

    A metric is computed from columns that hold one number per item.

    The bootstrap draws items. An item is one of five things: a window of prose, a window of a document, an answer, a
    passage, or a question. Items of all kinds except questions have the columns `tokens`, `nll`, `kl` and `agree`,
    which are sums over the item's predicted tokens. `tokens` is the number of predicted tokens. `nll` is the negative
    log-likelihood in nats. `kl` is the KL divergence from the unquantized model in nats. `agree` is the number of
    tokens for which both models have the same top-1 token. Windows of documents also have `words` and `bytes`.
    Passages also have `correct` and `flipped`. Questions have only `correct`, `correct_norm` and `flipped`.

    `title` is the metric's name within a sentence, for example "top-1 agreement". `help` is one sentence that says
    what the metric measures.
    """

    unit: str  # unit of the value, such as "nats per token"
    higher_is_better: bool
    # The largest change of the metric that another random draw of the same calibration set usually causes, for each
    # kind of held-out text. The mapping is empty if the change was not measured.
    close: Mapping[str, float]
    kinds: tuple[str, ...]  # the kinds of held-out text on which the metric is measured
    columns: tuple[str, ...]  # the columns that the metric's formula reads
    percent: bool = False  # if True, values are written in percent, and differences in percentage points
    decimals: int = 3  # digits after the decimal point; not used if `percent` is set
    bounds: tuple[float, float] = (-math.inf, math.inf)  # the smallest and the largest value that are possible

    # heading of its column in the report's table of models; if empty, the metric has no column there
    heading: str = ""
    heading_kinds: tuple[str, ...] | None = None  # kinds of text with this column; None means all of `kinds`
    heading_rank: int = 100  # the report sorts the columns of the table by this number
    legend: str = ""  # the sentences that explain the column; if empty, `help` explains it

    # True for a metric of single tokens, such as the 99th percentile of KL. The p-values of these metrics are
    # adjusted separately, so that they do not change the verdicts of other metrics.
    of_tokens: bool = False
    token_column: str = ""  # name of the column that `token_values` fills; rename it if the formula changes

    def values(self, sums: Sums, weights: Array) -> Array:
        """The metric's value for each row of `weights`.

        `weights` has the shape [rows, items]. A row holds one number for each item: how often the item counts.
        """
        raise NotImplementedError

    def token_values(self, unquantized: Any, measured: Any, targets: Any) -> Any:
        """Compute the metric's value for each token, shape [tokens]. The tokens are a part of one item.

        The evaluation's child process calls this method. `unquantized` and `measured` are log-probabilities: torch
        tensors of float32, [tokens, vocabulary]. `targets` are the ids of the text's tokens, [tokens]. Do not change
        these tensors in place. If the measured model is the unquantized one, `unquantized` and `measured` are the
        same tensor.
        """
        raise NotImplementedError

    def item_value(self, values: Sequence[float]) -> float:
        """The value that `token_column` holds for an item.

        By default, this value is the sum over the item's tokens.
        """
        return math.fsum(values)

    def value_of(self, sums: Sums) -> float:
        """The metric's value on the whole text. Each item counts once."""
        import numpy as np

        return float(self.values(sums, np.ones((1, len(sums))))[0])

    def title_for(self, window: int | None) -> str:  # noqa: ARG002  a subclass uses it
        """The metric's name in the heading of a table about one held-out text.

        `window` is the number of tokens per window of prose, and None for other kinds of text.
        """
        return self.title

    def legend_line(self) -> str:
        """The metric's line in the list below the report's table of models."""
        first, second = self.help[:1], self.help[1:2]
        help_ = (
            self.help if second.isupper() else first.lower() + self.help[1:]
        )  # The first letter of a word such as "KL" is not changed.
        return f"- **{self.heading}**: {self.legend or help_}"

    @property
    def largest_change(self) -> float:
        """The largest absolute difference between two values of the metric that is possible."""
        return self.bounds[1] - self.bounds[0]

    @property
    def best(self) -> float:
        """The best value that is possible."""
        return self.bounds[self.higher_is_better]

    def faults(self) -> list[str]:
        """List what is missing or wrong in this metric.

        Each entry continues a sentence that begins with the metric's name.
        """
        needed = ("name", "title", "help", "unit", "higher_is_better", "close", "kinds", "columns")
        faults = [f"has no {name}" for name in needed if getattr(self, name, None) in (None, "", ())]
        if faults:
            return faults
        faults += [f"names an unknown kind of text {kind!r}" for kind in self.kinds if kind not in KINDS]
        if self.token_column and CHOICES in self.kinds:
            faults.append(
                f"cannot have a token column, because texts of the kind {CHOICES!r} are not compared token by token"
            )
        return faults


class Ratio(Metric):
    """The sum of one column divided by the sum of another column, or the exponential of this ratio.

    Each column is first summed over all items. So the result is not the mean of the items' ratios.
    """

    numerator: str
    denominator: str
    exponential: bool = False

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]  # a subclass may set the attribute instead
        return tuple(name for name in (self.numerator, self.denominator) if name != ITEMS)

    def values(self, sums: Sums, weights: Array) -> Array:
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean: Array = (weights @ sums.column(self.numerator)) / (weights @ sums.column(self.denominator))
            return np.exp(mean) if self.exponential else mean


class KlDivergence(Ratio):
    """The mean of KL(p || q) over all predicted tokens.

    Here p is the unquantized model's distribution over the vocabulary, and q is this model's distribution. KL(p || q)
    = sum of p (log p - log q) (Kullback and Leibler 1951). The command `perplexity --kl-divergence` of llama.cpp
    prints this value as "Mean KLD".
    """

    name, title, unit = "kl", "KL", "nats a token"
    help = "How far predictions are from those of the unquantized model, in nats per token; 0 means no difference."
    numerator, denominator = "kl", TOKENS
    higher_is_better, bounds = False, NOT_NEGATIVE
    # These values were measured with SmolLM2-135M and GPTQ INT4.
    close = MappingProxyType({PROSE: 0.01, ANSWERS: 0.01})
    kinds = (PROSE, ANSWERS, WORDS, LAST_WORD)
    decimals = 4
    heading, heading_kinds, heading_rank = "KL", (PROSE, ANSWERS, WORDS), 3


class TokenPerplexity(Ratio):
    """exp(sum of nll / sum of tokens): the exponential of the mean negative log-likelihood of a token.

    Jelinek et al. 1977, "Perplexity: a measure of the difficulty of speech recognition tasks".
    """

    name, title, unit = "perplexity", "perplexity", "per token"
    help = "How badly the model predicts the text, per token; the value depends on the tokenizer and the window."
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
    """exp(sum of nll / sum of words). Words are counted as in lm_eval's `weighted_perplexity`."""

    name, title, unit = "word_perplexity", "word perplexity", "per word"
    help = "Perplexity per word, computed as in lm_eval and in the paper on FAQ."
    numerator, denominator, exponential = "nll", "words", True
    higher_is_better = False
    close = NOT_MEASURED
    kinds = (WORDS,)
    heading, heading_rank = "Word PPL", 2
    legend = "perplexity per word, computed as in lm_eval; lower is better."


class BytePerplexity(Ratio):
    """exp(sum of nll / sum of bytes). Bytes are counted as in lm_eval's `weighted_perplexity`."""

    name, title, unit = "byte_perplexity", "byte perplexity", "per byte"
    help = "Perplexity per byte, computed as in lm_eval."
    numerator, denominator, exponential = "nll", "bytes", True
    higher_is_better = False
    close = NOT_MEASURED
    kinds = (WORDS,)
    decimals = 4


class TopTokenAgreement(Ratio):
    """The share of predicted tokens for which both models have the same top-1 token.

    The command `perplexity --kl-divergence` of llama.cpp prints this share as "Same top p".
    """

    name, title, unit = "top1", "top-1 agreement", "share of tokens"
    help = "How often the model's most likely next token is the same as the unquantized model's."
    numerator, denominator = "agree", TOKENS
    higher_is_better, percent, bounds = True, True, SHARE
    close = NOT_MEASURED
    kinds = (PROSE, ANSWERS, WORDS)
    heading, heading_kinds, heading_rank = "Top-1", (PROSE, ANSWERS), 4


class Accuracy(Ratio):
    """The share of items that the model answers correctly. lm_eval calls it acc."""

    name, title, unit = "accuracy", "accuracy", "share of items"
    help = "Share of correct answers: the last word of a passage, or the likeliest choice of a question."
    numerator, denominator = "correct", ITEMS
    higher_is_better, percent, bounds = True, True, SHARE
    close = NOT_MEASURED
    kinds = (LAST_WORD, CHOICES)
    heading, heading_rank = "Acc.", 5


class AccuracyByLength(Ratio):
    """The share of questions in which the right choice has the highest log-likelihood per character.

    lm_eval calls it acc_norm.
    """

    name, title, unit = "accuracy_norm", "accuracy by length", "share of items"
    help = "Accuracy if each choice's log-likelihood is divided by the choice's length (lm_eval's acc_norm)."
    numerator, denominator = "correct_norm", ITEMS
    higher_is_better, percent, bounds = True, True, SHARE
    close = NOT_MEASURED
    kinds = (CHOICES,)


class LastWordPerplexity(Ratio):
    """exp(sum of nll / number of items): lm_eval's perplexity of the last word in LAMBADA (Paperno et al. 2016)."""

    name, title, unit = "last_perplexity", "perplexity of the word", "per word"
    help = "How badly the model predicts the last word of a passage (lm_eval's perplexity of LAMBADA)."
    numerator, denominator, exponential = "nll", ITEMS, True
    higher_is_better = False
    close = NOT_MEASURED
    kinds = (LAST_WORD,)


class FlippedItems(Ratio):
    """The share of items that only one of two models answers correctly: either this model or the unquantized model.

    Dutta et al. 2024, "Accuracy is not all you need".
    """

    name, title, unit = "flips", "flips", "share of items"
    help = "Share of items that quantization turned from right to wrong or from wrong to right."
    numerator, denominator = FLIPPED, ITEMS
    higher_is_better, percent, bounds = False, True, SHARE
    close = NOT_MEASURED
    kinds = (LAST_WORD, CHOICES)
    heading, heading_rank = "Flips", 6
    legend = (
        "share of items that quantization turned from right to wrong or from wrong to right. Accuracy can "
        "hide such changes, because the two directions cancel out."
    )


KL, PERPLEXITY, TOP1 = KlDivergence(), TokenPerplexity(), TopTokenAgreement()
WORD_PERPLEXITY, BYTE_PERPLEXITY = WordPerplexity(), BytePerplexity()
ACCURACY, ACCURACY_NORM = Accuracy(), AccuracyByLength()
LAST_PERPLEXITY, FLIPS = LastWordPerplexity(), FlippedItems()


def all_metrics() -> tuple[Metric, ...]:
    """All installed metrics. Raises FaqError if a metric from another package is incomplete."""
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
    """The metrics of this kind whose columns exist in every given measurement.

    `columns` holds the column names of each measurement. If a metric was installed after a measurement, the
    measurement lacks the metric's token column. The stage evaluate adds the missing column when it runs again.
    """
    shared = set.intersection(*map(set, columns))
    return tuple(metric for metric in metrics_of(kind) if shared.issuperset(metric.columns))


def token_metrics(kind: str) -> tuple[Metric, ...]:
    """The metrics of this kind that have a token column."""
    return tuple(metric for metric in metrics_of(kind) if metric.token_column)


def with_flips(kind: str, sums: Sums, unquantized: Sums) -> Sums:
    """Add the column `flipped` to labelled items: 1 if exactly one of the two models is right, otherwise 0."""
    import numpy as np

    if kind not in LABELLED:
        return sums
    return Sums({**sums.columns, FLIPPED: np.abs(sums.columns["correct"] - unquantized.columns["correct"])})
