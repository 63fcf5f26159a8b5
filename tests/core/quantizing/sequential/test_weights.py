"""Weights of the calibration tokens: the sink share, the kinds, and the Hessians that they make."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.chat.token_kinds import KINDS
from faq_tui.core.models.stack import UnsupportedModel, find_stack
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential import walk
from faq_tui.core.quantizing.sequential.batching import Ordering, SolvedMatrix
from faq_tui.core.quantizing.sequential.hessian import Hessian, drifts, means
from faq_tui.core.quantizing.sequential.walk import LayerWalk
from faq_tui.core.quantizing.sequential.weights import TokenWeights, Weighted, padded, token_weights
from tests.support.model_families import ROWS, model_of, own_experts

COLUMNS = 6
QUICK = settings(deadline=None, max_examples=40)
KIND_WEIGHTS = st.fixed_dictionaries({kind: st.sampled_from([0.0, 0.5, 1.0, 3.0]) for kind in KINDS[1:]})
KINDS_OF_ROWS = st.lists(
    st.lists(st.integers(1, len(KINDS) - 1), min_size=2, max_size=9).map(bytes), min_size=1, max_size=5
)


def inputs_of(tokens: int, seed: int = 0) -> Any:
    return torch.randn(tokens, COLUMNS, generator=torch.Generator().manual_seed(seed))


def hessian(inputs: Any, weighted: Weighted | None = None, unquantized: Any = None) -> Hessian:
    found = Hessian(COLUMNS, "cpu", unquantized is not None)
    found.add(inputs, unquantized, weighted)
    return found


@QUICK
@given(kinds=KINDS_OF_ROWS, by_kind=KIND_WEIGHTS, share=st.none() | st.floats(0.001, 0.9))
def test_the_first_tokens_have_exactly_their_share_and_the_others_the_weight_of_their_kind(
    kinds: list[bytes], by_kind: dict[str, float], share: float | None
) -> None:
    rest = [by_kind[KINDS[kind]] for row in kinds for kind in row[1:]]
    if not sum(rest):
        with pytest.raises(UsageError, match="gives the weight 0 to every token"):
            token_weights([len(row) for row in kinds], share, by_kind, kinds)
        return
    made = token_weights([len(row) for row in kinds], share, by_kind, kinds)
    each = [[made.values[kind] for kind in row] for row in made.classes]
    assert [weight for row in each for weight in row[1:]] == rest
    first = [row[0] for row in each]
    if share is None:
        assert set(first) == {1.0}
    else:
        assert sum(first) / (sum(first) + sum(rest)) == pytest.approx(share, rel=1e-12)
        assert made.sink_share == pytest.approx(share, rel=1e-12)


def test_without_kinds_the_weight_follows_from_the_numbers_of_tokens_and_rows() -> None:
    made = token_weights([100, 60, 40], 0.07)
    assert made.first == pytest.approx(0.07 / 0.93 * (200 - 3) / 3)
    assert [len(row) for row in made.classes] == [100, 60, 40] and not made.even
    assert token_weights([100, 60, 40]).even


@QUICK
@given(tokens=st.integers(1, 400), data=st.data())
def test_weights_of_one_give_the_same_bits_as_no_weights(tokens: int, data: st.DataObject) -> None:
    inputs, twins = inputs_of(tokens), inputs_of(tokens, 1)
    classes = torch.tensor(data.draw(st.lists(st.integers(0, 4), min_size=tokens, max_size=tokens)))
    plain, weighted = (hessian(inputs, one, twins) for one in (None, Weighted(classes, (1.0,) * len(KINDS))))
    assert torch.equal(means([plain]), means([weighted])) and torch.equal(drifts([plain]), drifts([weighted]))
    assert plain.tokens == weighted.tokens == tokens


@QUICK
@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=60).filter(any))
def test_a_weight_of_k_counts_a_token_k_times(counts: list[int]) -> None:
    inputs, twins = inputs_of(len(counts)), inputs_of(len(counts), 1)
    weighted = hessian(inputs, Weighted(torch.tensor(counts), tuple(map(float, range(6)))), twins)
    repeats = torch.tensor(counts)
    x, other = (part.double().repeat_interleave(repeats, 0) for part in (inputs, twins))
    assert torch.allclose(means([weighted])[0].double(), 2 * x.t() @ x / len(x), rtol=1e-4, atol=1e-5)
    assert torch.allclose(drifts([weighted])[0].double(), 2 * (other - x).t() @ x / len(x), rtol=1e-4, atol=1e-5)
    assert weighted.tokens == sum(count > 0 for count in counts) and weighted.weight == sum(counts)


def hessians_of_walk(
    model: Any, rows: list[list[int]], weights: TokenWeights | None, multiple: int = 0
) -> dict[str, Any]:
    """The damped Hessian of every module, from a walk that changes no weight."""
    found: dict[str, Any] = {}

    def solve(names: list[list[str]], given: list[Any], factor: Any, check: Any) -> dict[str, SolvedMatrix]:
        del check
        solved = {}
        for number, sharing in enumerate(names):
            for place, name in enumerate(sharing):
                upper = factor.upper[number].double()
                found[name] = torch.linalg.inv(upper.t() @ upper)
                solved[name] = SolvedMatrix(given[place][number].clone(), 0.0)
        return solved

    cancel = CancelToken()
    progress = QuantizationProgress(lambda *_, **__: None, cancel)
    made = LayerWalk(
        find_stack(model),
        ["cpu"],
        Ordering(0.1, by_activation=False),
        solve,
        lambda *_: None,
        lambda _: None,
        progress,
        cancel,
    )
    made.weights, made.multiple = weights, multiple
    made.run(rows)
    return found


def same(one: dict[str, Any], other: dict[str, Any], exactly: bool = False) -> bool:
    if exactly:
        return all(torch.equal(one[name], other[name]) for name in one)
    return all((one[name] - other[name]).norm() < 1e-4 * one[name].norm() for name in one)


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_a_row_of_weight_two_counts_like_a_row_that_is_there_twice(family: str) -> None:
    """Each row keeps its weights, in whichever batch it is, and its tokens keep them on their way to the experts."""
    heavy = [KINDS.index("answer"), KINDS.index("question")]
    classes = [bytes([heavy[number != 2]]) * len(row) for number, row in enumerate(ROWS)]  # 1 and 2 are one batch
    values = tuple(2.0 if kind == "answer" else 1.0 for kind in KINDS)
    twice = [*ROWS, ROWS[2]]
    plain = hessians_of_walk(model_of(family), ROWS, None)
    expected = hessians_of_walk(model_of(family), twice, None)
    assert same(hessians_of_walk(model_of(family), ROWS, TokenWeights(classes, values)), expected)
    assert not same(plain, expected)
    ones = hessians_of_walk(model_of(family), ROWS, TokenWeights(classes, (1.0,) * len(KINDS)))
    assert same(plain, ones, exactly=True)


def test_a_token_of_weight_zero_is_left_out() -> None:
    model = model_of("qwen3_moe")
    classes = [bytes([1]) * len(row) if number else bytes([2]) * len(row) for number, row in enumerate(ROWS)]
    weighted = hessians_of_walk(model, ROWS, TokenWeights(classes, (1.0, 1.0, 0.0, 1.0, 1.0)))
    assert same(weighted, hessians_of_walk(model_of("qwen3_moe"), ROWS[1:], None))


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
@pytest.mark.parametrize("weights", [None, token_weights([len(row) for row in ROWS], 0.2)])
def test_padding_changes_no_hessian(family: str, weights: TokenWeights | None) -> None:
    assert any(len(row) % 8 for row in ROWS)
    expected = hessians_of_walk(model_of(family), ROWS, weights)
    assert same(hessians_of_walk(model_of(family), ROWS, weights, multiple=8), expected)


@QUICK
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    multiple=st.integers(1, 16),
    share=st.none() | st.floats(0.01, 0.5),
)
def test_padding_adds_tokens_of_weight_zero(lengths: list[int], multiple: int, share: float | None) -> None:
    rows = [list(range(length)) for length in lengths]
    weights = token_weights([length + 1 for length in lengths], share) if share else None
    rows = [[*row, 7] for row in rows]
    longer, made = padded(rows, weights, multiple)
    assert all(len(row) % multiple == 0 and row[: len(old)] == old for row, old in zip(longer, rows, strict=True))
    if made is None:
        assert longer == rows and share is None
        return
    each = [[made.values[kind] for kind in row] for row in made.classes]
    for row, old, number in zip(each, rows, range(len(rows)), strict=True):
        before = [1.0] * len(old) if weights is None else [weights.values[kind] for kind in weights.classes[number]]
        assert row == before + [0.0] * (len(longer[number]) - len(old))


def test_a_model_that_cannot_leave_out_tokens_is_not_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, such a model is quantized without padding."""
    monkeypatch.setattr(walk, "CUDA_MULTIPLE", 8)
    monkeypatch.setattr(walk.LayerWalk, "pads", lambda self: True)
    expected, found = (hessians_of_walk(own_experts(), ROWS, None, multiple=multiple) for multiple in (1, 0))
    assert same(found, expected, exactly=True)
    with pytest.raises(UnsupportedModel, match="chooses the tokens of each expert"):
        hessians_of_walk(own_experts(), ROWS, None, multiple=8)


def test_experts_of_the_models_own_code_are_refused() -> None:
    """Only this code knows which tokens an expert gets."""
    model = own_experts()
    weights = token_weights([len(row) for row in ROWS], 0.07)
    with pytest.raises(UnsupportedModel, match="chooses the tokens of each expert"):
        hessians_of_walk(model, ROWS, weights)
    hessians_of_walk(model, ROWS, None)
