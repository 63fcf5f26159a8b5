"""Cutting sets to the same number of tokens: token count is a confounder of every calibration comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from faq_tui.core.assembly.sample import MIN_TOKENS, Sample, shortened


def cut_to_tokens(samples: Sequence[Sample], budget: int, decode: Callable[[tuple[int, ...]], str]) -> list[Sample]:
    """Whole samples in order, then the head of the next one, `budget` tokens in all.

    A rest under MIN_TOKENS is left out, so the sum falls short of the budget by at most MIN_TOKENS - 1.
    """
    out: list[Sample] = []
    left = budget
    for sample in samples:
        if sample.n_tokens <= left:
            out.append(sample)
            left -= sample.n_tokens
            continue
        if left >= MIN_TOKENS:
            out.append(shortened(sample, left, decode(sample.input_ids[:left])))
        break
    return out
