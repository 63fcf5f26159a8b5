"""Per-token figures as they are stored, and the words that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.evaluation.compare import compare, decode_token_kl, encode_token_kl, measure
from faq_tui.core.evaluation.heldout import Item
from faq_tui.core.evaluation.item_texts import pieces
from faq_tui.core.models.backbone import Backbone, LmHead
from tests.support.model_families import model_of

KL = st.floats(0, 1e5, allow_nan=False) | st.just(float("inf"))
ITEMS = st.lists(st.lists(st.tuples(KL, st.booleans()), max_size=20), min_size=1, max_size=6)


@given(ITEMS)
def test_what_is_stored_comes_back(items: list[list[tuple[float, bool]]]) -> None:
    order = list(reversed(range(len(items))))  # as batches come: the longest first
    kl = {n: [value for value, _ in items[n]] for n in order}
    differs = {n: [other for _, other in items[n]] for n in order}
    blob = encode_token_kl(kl, differs)
    assert len(blob) == 2 * sum(map(len, items))
    for number, item in enumerate(items):
        found, other = decode_token_kl(blob, [float(len(each)) for each in items], number)
        assert other.tolist() == differs[number], "also of a token without any divergence"
        wanted = np.minimum(np.array([value for value, _ in item], dtype=np.float64), 65504.0)
        assert np.allclose(found, wanted, rtol=1e-3, atol=1e-7)


class Bytes:
    """A tokenizer whose tokens are the bytes of UTF-8."""

    def decode(self, ids: list[int], **_: object) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


@given(st.text(max_size=40).filter(lambda text: "\ufffd" not in text and "\x00" not in text))
def test_the_pieces_are_the_text_also_where_a_character_is_several_tokens(text: str) -> None:
    ids = list(text.encode("utf-8"))
    found = pieces(ids, Bytes())
    assert len(found) == len(ids) and "".join(found) == text


class Stripping:
    """Words with their space before them, as in SentencePiece, whose decoding strips the first one."""

    def decode(self, ids: list[int], **_: object) -> str:
        return "".join(f" {chr(97 + token)}" for token in ids).removeprefix(" ")


def test_a_space_before_a_word_is_kept() -> None:
    assert pieces([1, 2, 3], Stripping(), [0]) == [" b", " c", " d"]
    assert "".join(pieces([1, 2, 3], Stripping())) == "b c d"


def test_a_broken_end_is_kept_as_what_it_is() -> None:
    assert pieces([0x61, 0xC3], Bytes()) == ["a", "\ufffd"]


@given(st.integers(0, 99), st.floats(0.1, 30.0))
@settings(deadline=None, max_examples=20)
def test_the_entropies_of_the_unquantized_models_predictions(seed: int, scale: float) -> None:
    import torch

    dice = torch.Generator().manual_seed(seed)
    weight = torch.randn((19, 8), generator=dice) * scale
    weight[3] = -1e30  # a token that the model never predicts
    states = [torch.randn((tokens, 8), generator=dice).abs() for tokens in (4, 1)]

    class Model:
        head = LmHead(weight)

        def states(self, _rows: object) -> torch.Tensor:
            padded = torch.zeros((2, 5, 8))
            padded[0, :4], padded[1, :1] = states
            return padded

    items = [Item((0, 1, 2, 4, 5), 1), Item((7, 1), 1)]
    found: dict[int, list[float]] = {}
    measure(Model(), items, 4, CancelToken(), lambda _: None, entropies=found)  # type: ignore[arg-type]
    for number, own in enumerate(states):
        p = torch.softmax(own.double() @ weight.double().T, -1)
        wanted = -torch.special.xlogy(p, p).sum(-1)
        assert np.allclose(found[number], wanted.numpy(), atol=2e-4)


def test_a_token_without_probability_adds_nothing_to_the_kl() -> None:
    """Some models give reserved tokens the logit minus infinity."""
    import torch

    class Masked(LmHead):
        def logits(self, states: Any) -> Any:
            logits = super().logits(states)
            logits[:, 3] = -torch.inf
            return logits

    dice = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn((19, 8), generator=dice) for _ in range(2))
    states = torch.randn((5, 8), generator=dice)
    p, q = ((states @ weight.T).double() for weight in (theirs, ours))
    p[:, 3] = q[:, 3] = -1e300
    wanted = float(torch.nn.functional.kl_div(q.log_softmax(-1), p.log_softmax(-1), log_target=True, reduction="sum"))
    for head in (Masked, LmHead):  # a measured model that gives the token some probability is no problem, either
        found = compare(states, [1, 2, 4, 5, 6], head(ours), (states, Masked(theirs)))
        assert np.isfinite(found["kl"])
        if head is Masked:
            assert found["kl"] == pytest.approx(wanted, rel=1e-4)


def test_items_with_the_same_start_have_the_figures_of_items_alone() -> None:
    import torch

    model = model_of("llama").float().eval()
    read: list[list[int]] = []

    class Counting(Backbone):
        def states(self, rows: Any) -> Any:
            read.extend(map(list, rows))
            return super().states(rows)

    question = (5, 9, 2, 7)
    items = [Item((*question, *choice), 4) for choice in ((1,), (3,), (1, 8), (6, 2, 2), (6, 2, 4), (1,))]
    cut = Counting(model)
    together = measure(cut, items, 4, CancelToken(), lambda tokens: None)
    assert sorted(read) == [[5, 9, 2, 7, 1], [5, 9, 2, 7, 6, 2]]
    for index, item in enumerate(items):
        alone = measure(cut, [item], 4, CancelToken(), lambda tokens: None)
        with torch.no_grad():
            log_probs = model(torch.tensor([item.ids])).logits[0, 3:-1].double().log_softmax(-1)
        plain = -sum(float(row[token]) for row, token in zip(log_probs, item.ids[4:], strict=True))
        assert together["nll"][index] == pytest.approx(plain, rel=1e-5)
        assert {name: values[index] for name, values in together.items()} == pytest.approx(
            {name: values[0] for name, values in alone.items()}, rel=1e-5
        )
