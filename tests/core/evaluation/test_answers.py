"""The tokens that may follow are those of transformers, found without sorting the whole vocabulary."""

from __future__ import annotations

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from faq_tui.core.evaluation import answers
from faq_tui.core.evaluation.answers import likely_tokens
from faq_tui.core.evaluation.identity import TEMPERATURE, TOP_P


@pytest.mark.parametrize("vocabulary", [50, 5000])
@pytest.mark.parametrize("spread", [0.01, 2.0, 8.0])
def test_the_same_tokens_stay_as_in_transformers(
    vocabulary: int, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = spread * torch.randn(12, vocabulary, generator=torch.Generator().manual_seed(3))
    wanted = TopPLogitsWarper(TOP_P)(None, TemperatureLogitsWarper(TEMPERATURE)(None, logits))
    kept = (wanted > -torch.inf).sum(-1)
    assert torch.equal(likely_tokens(None, logits.clone()), wanted)
    monkeypatch.setattr(answers, "MOST_LIKELY", 20)
    assert torch.equal(likely_tokens(None, logits.clone()), wanted)
    if spread == 8.0:
        assert kept.max() < 20, "a few tokens reach the share"
    if spread == 0.01:
        assert kept.min() > 20, "the whole vocabulary is sorted"
