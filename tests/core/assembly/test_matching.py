"""Shares of a mixture hold to within a sample."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from faq_tui.core.assembly import Sample
from faq_tui.core.assembly.matching import cut_evenly, cut_to_tokens, mix
from faq_tui.core.assembly.sample import MIN_TOKENS


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(1, 60), st.integers())
def test_shares_hold_to_within_a_sample(weights: list[int], seeds: int, key: int) -> None:
    shares = {f"p{i}": weight / sum(weights) for i, weight in enumerate(weights)}
    parts = {name: [Sample(f"s{n}", None, name, "", (), 20, 20, None) for n in range(seeds)] for name in shares}
    mixed = mix(parts, shares, key)
    assert [sample.seed_id for sample in mixed] == [f"s{n}" for n in range(seeds)]
    for name, share in shares.items():
        assert abs(sum(sample.source == name for sample in mixed) - share * seeds) <= len(shares) - 1


def sample(n_tokens: int, number: int = 0) -> Sample:
    ids = tuple(range(number, number + n_tokens))
    return Sample(f"s{number}", None, "baseline", "x", ids, n_tokens, n_tokens + 5, None)


LENGTHS = st.lists(st.integers(MIN_TOKENS, 300), min_size=1, max_size=30)


def read(ids: tuple[int, ...]) -> str:
    return str(list(ids))


@given(LENGTHS, st.integers(0, 9000))
def test_cut_to_tokens(lengths: list[int], budget: int) -> None:
    samples = [sample(length, number) for number, length in enumerate(lengths)]
    cut = cut_to_tokens(samples, budget, read)
    total, wanted = sum(s.n_tokens for s in cut), min(budget, sum(lengths))
    assert total <= budget and wanted - total < MIN_TOKENS
    if len(cut) > 1 and all(length >= 2 * MIN_TOKENS for length in lengths):
        assert total == wanted
    for place, (short, whole) in enumerate(zip(cut, samples, strict=False)):
        assert short.input_ids == whole.input_ids[: short.n_tokens] and len(short.input_ids) == short.n_tokens
        assert short.n_tokens >= MIN_TOKENS and short.n_tokens_full == whole.n_tokens_full
        assert short == whole or (place >= len(cut) - 2 and short.text == read(short.input_ids))


@given(LENGTHS, st.integers(0, 9000))
def test_cut_evenly_keeps_every_sample(lengths: list[int], budget: int) -> None:
    samples = [sample(length, number) for number, length in enumerate(lengths)]
    cut = cut_evenly(samples, budget, read)
    assert [s.seed_id for s in cut] == [s.seed_id for s in samples]
    least = sum(min(length, MIN_TOKENS) for length in lengths)
    assert sum(s.n_tokens for s in cut) == max(least, min(budget, sum(lengths)))
    shortened = [s.n_tokens for s, whole in zip(cut, samples, strict=True) if s != whole]
    assert not shortened or max(shortened) - min(shortened) <= 1
    assert all(s.n_tokens <= min(shortened, default=0) + 1 for s in cut) or not shortened


@given(st.lists(st.lists(st.integers(2 * MIN_TOKENS, 500), min_size=3, max_size=40), min_size=2, max_size=4))
def test_sets_of_equal_tokens_are_equal(sets: list[list[int]]) -> None:
    pools = [[sample(length, number) for number, length in enumerate(lengths)] for lengths in sets]
    budget = min(sum(s.n_tokens for s in pool) for pool in pools)
    totals = [sum(s.n_tokens for s in cut_to_tokens(pool, budget, read)) for pool in pools]
    assume(all(len(cut_to_tokens(pool, budget, read)) > 1 for pool in pools))
    assert set(totals) == {budget}
