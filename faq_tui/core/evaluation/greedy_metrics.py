"""Metrics of the answers that each model writes itself with greedy decoding (see `greedy_answers`)."""

from __future__ import annotations

from faq_tui.core.evaluation.greedy_answers import OFF, SAME, TARGET_LENGTH, UNENDED
from faq_tui.core.evaluation.kinds import GREEDY
from faq_tui.core.evaluation.metrics import NOT_MEASURED, NOT_NEGATIVE, SHARE, Ratio
from faq_tui.core.stats.sums import ITEMS


class GreedyDeparture(Ratio):
    """The mean number of tokens before the first difference between a model's and the target's greedy answers.

    The largest possible value is the mean length of the unquantized model's answers: the unquantized model itself has
    this value.
    """

    name, title, unit = "greedy_departure", "equal tokens of greedy answers", "tokens"
    help = "How many tokens of its own answer a model writes before the answer departs from the unquantized model's."
    numerator, denominator = SAME, ITEMS
    higher_is_better = True
    close = NOT_MEASURED
    kinds = (GREEDY,)
    decimals = 1
    heading, heading_rank = "Equal tokens", 7


class GreedyLengthDifference(Ratio):
    """The sum of |length - target's length| over all answers, divided by the sum of the target's lengths.

    Quantization can make chains of reasoning longer or shorter. The metric adds absolute differences, so longer and
    shorter answers cannot cancel out.
    """

    name, title, unit = "greedy_length", "length difference of greedy answers", "share of the target's tokens"
    help = "How far the length of a model's own answers is from the length of the unquantized model's answers."
    numerator, denominator = OFF, TARGET_LENGTH
    higher_is_better, percent, bounds = False, True, NOT_NEGATIVE
    close = NOT_MEASURED
    kinds = (GREEDY,)
    heading, heading_rank = "Length diff.", 8


class GreedyUnended(Ratio):
    """The share of greedy answers that have no end token within `evaluate.greedy_tokens` tokens."""

    name, title, unit = "greedy_unended", "greedy answers without an end", "share of answers"
    help = "Share of a model's own answers that reach the longest length, often because the model repeats itself."
    numerator, denominator = UNENDED, ITEMS
    higher_is_better, percent, bounds = False, True, SHARE
    close = NOT_MEASURED
    kinds = (GREEDY,)
    heading, heading_rank = "No end", 9


GREEDY_DEPARTURE, GREEDY_LENGTH, GREEDY_UNENDED = GreedyDeparture(), GreedyLengthDifference(), GreedyUnended()
