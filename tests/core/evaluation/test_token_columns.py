"""Columns of single tokens against a plain computation, and the kinds of a reply's tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.evaluation.compare import encode_token_kl
from faq_tui.core.evaluation.token_columns import encode_entropies, reply_kinds, with_token_columns
from faq_tui.core.evaluation.token_metrics import (
    ANSWER_KL,
    FIRST_DEPARTURE,
    REASONING_KL,
    SURE_KL,
    TAIL_KL,
    UNSURE_KL,
)
from faq_tui.core.stats.sums import Sums

TOKENS = st.lists(
    st.lists(st.tuples(st.integers(0, 4000), st.booleans(), st.integers(0, 500)), min_size=1, max_size=30),
    min_size=1,
    max_size=8,
)


def sums_of(items: list[list[tuple[int, bool, int]]], bodies: list[dict[str, Any]] | None = None) -> Sums:
    """Items whose tokens have (KL in 1/256 nats, whether the top-1 token differs, entropy in 1/64 nats)."""
    sums = Sums.of({"tokens": [float(len(item)) for item in items]})
    kl = encode_token_kl(
        {n: [kl / 256 for kl, _, _ in item] for n, item in enumerate(items)},
        {n: [other for _, other, _ in item] for n, item in enumerate(items)},
    )
    entropy = encode_entropies({n: [entropy / 64 for _, _, entropy in item] for n, item in enumerate(items)})
    return with_token_columns(sums, kl, entropy, bodies or [])


def stored(value: int) -> float:
    return float(np.float16(value / 256))


@settings(deadline=None)
@given(TOKENS)
def test_tokens_are_divided_by_entropy(items: list[list[tuple[int, bool, int]]]) -> None:
    sums = sums_of(items)
    tokens = [token for item in items for token in item]
    limit = np.quantile([entropy / 64 for _, _, entropy in tokens], 0.8)
    unsure = [stored(kl) for kl, _, entropy in tokens if entropy / 64 > limit]
    sure = [stored(kl) for kl, _, entropy in tokens if entropy / 64 <= limit]
    assert SURE_KL.value_of(sums) == pytest.approx(math.fsum(sure) / len(sure))
    assert len(unsure) <= math.ceil(0.2 * len(tokens))
    if unsure:
        assert UNSURE_KL.value_of(sums) == pytest.approx(math.fsum(unsure) / len(unsure))
    else:
        assert "kl_unsure" not in sums.columns


@settings(deadline=None)
@given(TOKENS)
def test_the_first_departure(items: list[list[tuple[int, bool, int]]]) -> None:
    expected = []
    for item in items:
        # The sign of a KL of 0 is stored, too.
        departed = [n for n, (_, other, _) in enumerate(item) if other]
        expected.append(departed[0] if departed else len(item))
    assert FIRST_DEPARTURE.value_of(sums_of(items)) == pytest.approx(sum(expected) / len(items))


@settings(deadline=None)
@given(TOKENS, st.data())
def test_the_tail_is_the_quantile_of_all_tokens_that_were_drawn(
    items: list[list[tuple[int, bool, int]]], data: st.DataObject
) -> None:
    sums = sums_of(items)
    weights = np.array(
        data.draw(
            st.lists(st.lists(st.integers(0, 3), min_size=len(items), max_size=len(items)), min_size=1, max_size=3)
        ),
        dtype=float,
    )
    weights[:, 0] += 1
    for row, found in zip(weights, TAIL_KL.values(sums, weights), strict=True):
        drawn = sorted(
            (stored(kl) for item, times in zip(items, row, strict=True) for kl, _, _ in item * int(times)),
            reverse=True,
        )
        above = sum(kl > found for kl in drawn)
        assert found in drawn and above <= 0.01 * len(drawn)
        smaller = [kl for kl in drawn if kl < found]
        if smaller:
            assert sum(kl > smaller[0] for kl in drawn) > 0.01 * len(drawn)


def test_the_tail_of_a_long_text_and_of_an_infinite_kl() -> None:
    dice = np.random.default_rng(3)
    items = [[(int(kl), False, 0) for kl in dice.exponential(200, 500)] for _ in range(12)]
    values = np.array([stored(kl) for item in items for kl, _, _ in item])
    found = TAIL_KL.value_of(sums_of(items))
    assert found == np.sort(values)[::-1][int(0.01 * len(values))]
    sums = Sums.of({"tokens": [1.0]})
    blob = encode_token_kl({0: [math.inf]}, {0: [False]})
    assert TAIL_KL.value_of(with_token_columns(sums, blob, None, [])) == math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_kl_that_is_not_finite_has_no_finite_mean(bad: float) -> None:
    """float16 stores the value as 65504, which is no measured KL."""
    sums = Sums.of({"tokens": [10.0, 10.0]})
    blob = encode_token_kl({0: [0.5] * 10, 1: [bad] + [0.5] * 9}, {0: [False] * 10, 1: [False] * 10})
    entropy = encode_entropies({n: [t / 10 for t in range(10)] for n in range(2)})
    pieces = ["<think>", "I ", "think", "</think>", *"abcdef"]
    found = with_token_columns(sums, blob, entropy, [{"pieces": pieces}, {"pieces": pieces[::-1]}])
    assert UNSURE_KL.value_of(found) == 0.5, "the token with the bad KL is one that the target is sure of"
    assert SURE_KL.value_of(found) == math.inf


def test_the_unquantized_model_differs_nowhere_and_a_damaged_blob_is_ignored() -> None:
    sums = Sums.of({"tokens": [3.0, 2.0]})
    itself = with_token_columns(sums, None, None, [])
    assert TAIL_KL.value_of(itself) == 0.0 and FIRST_DEPARTURE.value_of(itself) == 2.5
    assert "kl_sure" not in itself.columns
    assert with_token_columns(sums, b"12", None, []) is sums
    whole = encode_token_kl({0: [1.0] * 3, 1: [1.0] * 2}, {0: [True] * 3, 1: [False] * 2})
    assert "kl_sure" not in with_token_columns(sums, whole, b"12", []).columns


REPLIES = {
    "no tags": (["All ", "answer"], "aa"),
    "a whole block": (["<think>", "I ", "think", "</think>", "Yes"], "trrta"),
    "tags in pieces": (["<thi", "nk>", "Why", "</th", "ink>", " So", "."], "ttrttaa"),
    "opened by the prompt": (["I ", "think", "</think>", "Yes"], "rrta"),
    "never closed": (["<think>", "on ", "and on"], "trr"),
    "an empty text": (["<think>", "", "x", "</think>", "", "Yes"], "trrtaa"),
    "nothing": ([], ""),
}


@pytest.mark.parametrize("name", REPLIES)
def test_the_kinds_of_a_reply(name: str) -> None:
    pieces, expected = REPLIES[name]
    assert "".join(kind[0] for kind in reply_kinds(pieces)) == expected


def test_reasoning_and_answer_are_measured_apart() -> None:
    items = [[(256, False, 0)] * 5, [(512, False, 0)] * 2]
    bodies = [{"pieces": ["<think>", "I ", "think", "</think>", "Yes"]}, {"pieces": ["No", "."]}]
    sums = sums_of(items, bodies)
    assert REASONING_KL.value_of(sums) == 1.0
    assert ANSWER_KL.value_of(sums) == pytest.approx((1.0 + 2 * 2.0) / 3)
    assert "kl_reasoning" not in sums_of(items, bodies[:1]).columns, "the stored items are others"
    plain = sums_of(items, [{"pieces": ["a"] * 5}, {"pieces": ["b"] * 2}])
    assert not {"kl_reasoning", "kl_answer"} & set(plain.columns), "no reply has reasoning, so nothing comes after it"
