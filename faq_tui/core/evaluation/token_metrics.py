"""Metrics of single tokens, such as the tokens with the largest KL, or the tokens of the reasoning.

These metrics are computed from the stored values of single tokens (see `token_columns`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faq_tui.core.evaluation.kinds import ANSWERS, PROSE, WORDS
from faq_tui.core.evaluation.metrics import NOT_MEASURED, NOT_NEGATIVE, TOKENS, Metric, Ratio
from faq_tui.core.evaluation.token_columns import DEPARTURE, TOKEN_KL
from faq_tui.core.stats.sums import ITEMS, Sums

if TYPE_CHECKING:
    from faq_tui.core.stats.sums import Array

TAIL = 0.01  # share of the tokens that have a KL above the metric `kl_p99`
KEPT = 5 * TAIL  # each resample uses only this share of the tokens: those with the largest KL
ROWS = 256  # number of resamples that are computed at once


class TailKl(Metric):
    """The 99th percentile of KL(p || q) over all predicted tokens.

    The percentile is the smallest stored KL that at most one token in a hundred exceeds. The command `perplexity
    --kl-divergence` of llama.cpp prints this value as "99.0% KLD".
    """

    name, title, unit = "kl_p99", "99th percentile of KL", "nats"
    help = "The KL that only one token in a hundred exceeds, in nats: how far the worst predictions are off."
    columns = (TOKENS, TOKEN_KL)
    higher_is_better, of_tokens, bounds = False, True, NOT_NEGATIVE
    close = NOT_MEASURED
    kinds = (PROSE, ANSWERS, WORDS)
    heading, heading_kinds, heading_rank = "KL p99", (PROSE, ANSWERS), 3

    def values(self, sums: Sums, weights: Array) -> Array:
        import numpy as np

        kl, lengths = sums.tokens[TOKEN_KL], sums.column(TOKENS).astype(np.int64)
        item = np.repeat(np.arange(len(sums)), lengths)
        most = len(kl) if len(kl) <= 1000 else int(KEPT * len(kl))
        largest = np.argsort(-kl, kind="stable")[:most]
        out = []
        for start in range(0, len(weights), ROWS):
            rows = weights[start : start + ROWS]
            above = np.cumsum(rows[:, item[largest]], axis=1)  # the number of tokens with at least this KL
            limit = TAIL * (rows @ lengths)[:, None]
            # If the percentile of a resample is below the KL of all kept tokens, the smallest kept KL is used.
            first = np.where((above > limit).any(axis=1), (above > limit).argmax(axis=1), most - 1)
            out.append(kl[largest][first])
        found: Array = np.concatenate(out)
        return found


class KlOfPart(Ratio):
    """The mean KL over a part of the tokens."""

    unit, decimals = "nats a token", 4
    higher_is_better, of_tokens, bounds = False, True, NOT_NEGATIVE
    close = NOT_MEASURED


class KlWhereUnsure(KlOfPart):
    """The mean KL over the tokens on which the unquantized model is unsure.

    These tokens are one fifth of all tokens: those at which this model's prediction has the largest entropy. The
    entropy of a prediction p is the sum of -p log p. The tokens with the largest entropy decide how a reasoning
    continues (Wang et al. 2025, "Beyond the 80/20 rule", arXiv 2506.01939).
    """

    name, title = "kl_unsure", "KL where the target is unsure"
    help = "KL on the fifth of the tokens on which the unquantized model is least sure of the next token."
    numerator, denominator = "kl_unsure", "tokens_unsure"
    kinds = (PROSE, ANSWERS)


class KlWhereSure(KlOfPart):
    """The mean KL over all tokens that `KlWhereUnsure` leaves out."""

    name, title = "kl_sure", "KL where the target is sure"
    help = "KL on the other four fifths of the tokens, on which the unquantized model is surer of the next token."
    numerator, denominator = "kl_sure", "tokens_sure"
    kinds = (PROSE, ANSWERS)


class KlOfReasoning(KlOfPart):
    """The mean KL over the tokens of the reasoning, which lies between the tags of a reasoning dialect."""

    name, title = "kl_reasoning", "KL of the reasoning"
    help = "KL on the reasoning in the held-out answers, without the answers themselves."
    numerator, denominator = "kl_reasoning", "tokens_reasoning"
    kinds = (ANSWERS,)


class KlOfAnswer(KlOfPart):
    """The mean KL over the tokens after the reasoning."""

    name, title = "kl_answer", "KL after the reasoning"
    help = "KL on the held-out answers without their reasoning."
    numerator, denominator = "kl_answer", "tokens_answer"
    kinds = (ANSWERS,)


class FirstDeparture(Ratio):
    """The mean number of tokens of an answer before the top-1 tokens of the two models first differ.

    The two models read the same answer. If their top-1 tokens never differ, the whole answer counts. Before this
    difference, both models would write the same tokens with greedy decoding.
    """

    name, title, unit = "departure", "tokens to first departure", "tokens"
    help = "How many tokens of a held-out answer pass before the quantized model first prefers another next token."
    numerator, denominator = DEPARTURE, ITEMS
    higher_is_better, of_tokens = True, True
    close = NOT_MEASURED
    kinds = (ANSWERS,)
    decimals = 1


TAIL_KL, UNSURE_KL, SURE_KL = TailKl(), KlWhereUnsure(), KlWhereSure()
REASONING_KL, ANSWER_KL, FIRST_DEPARTURE = KlOfReasoning(), KlOfAnswer(), FirstDeparture()
