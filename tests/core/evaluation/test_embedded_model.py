"""Perplexity, KL, top-1 and a choice on the real small model, against a plain computation by transformers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.embedded import EmbeddedModel
from faq_tui.core.evaluation.compare import measure
from faq_tui.core.evaluation.heldout import windows
from faq_tui.core.evaluation.labelled import ChoiceCase, heldout_questions
from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, TOP1
from faq_tui.core.evaluation.reference import open_reference, writing
from faq_tui.core.evaluation.texts import pydoc_prose
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import load_dense
from faq_tui.core.stats.sums import Sums

WINDOW, COUNT = 48, 3


@pytest.mark.slow
def test_figures_on_the_embedded_model_equal_a_plain_computation(
    embedded_model: EmbeddedModel, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def dense() -> Any:
        return load_dense(embedded_model.folder, torch.float32, "cpu")

    tokenizer = AutoTokenizer.from_pretrained(embedded_model.folder)
    ids = tokenizer(pydoc_prose()[:4000], add_special_tokens=False)["input_ids"][: WINDOW * COUNT]
    items, noisy = windows(ids, WINDOW), dense()
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in noisy.parameters():
            weight.add_(0.1 * weight.std() * torch.randn_like(weight) if weight.dim() > 1 else 0.0)
    cut, path = Backbone(dense()), tmp_path / "reference.safetensors"
    with writing(path, items, cut.head) as keep:
        measure(cut, items, 2, CancelToken(), lambda tokens: None, keep=keep)
    reference = open_reference(path, items, "cpu")
    assert reference is not None
    sums = Sums.of(measure(Backbone(noisy), items, 2, CancelToken(), lambda tokens: None, reference))

    plainly = AutoModelForCausalLM.from_pretrained(embedded_model.folder, dtype=torch.float32).eval()
    nll = kl = agree = count = 0.0
    for start in range(0, len(ids), WINDOW):
        row = torch.tensor([ids[start : start + WINDOW]])
        with torch.no_grad():
            q = noisy(row).logits[0, :-1].double().log_softmax(-1)
            p = plainly(row).logits[0, :-1].double().log_softmax(-1)
        nll -= float(q.gather(1, row[0, 1:, None]).sum())
        kl += float((p.exp() * (p - q)).sum())
        agree += float((p.argmax(-1) == q.argmax(-1)).sum())
        count += len(q)
    assert PERPLEXITY.value_of(sums) == pytest.approx(math.exp(nll / count), rel=1e-4)
    assert KL.value_of(sums) == pytest.approx(kl / count, rel=1e-4) and kl > 1
    assert TOP1.value_of(sums) == agree / count < 1

    text, _ = heldout_questions(
        [ChoiceCase("What color is the sky on a clear day?", ("blue", "made of iron"), 0)], tokenizer, 2048
    )
    found = text.finished(measure(cut, text.items, 2, CancelToken(), lambda tokens: None))
    assert found["correct"] == found["correct_norm"] == [1.0]
