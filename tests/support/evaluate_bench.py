"""What tests of the evaluation share: a model that stands for a quantized one, and a stage's context."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.dense import load_dense
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event
from faq_tui.core.run.run import Run


def make_noisy(source: Path, folder: Path, scale: float) -> None:
    model = load_dense(source, torch.float32, "cpu")
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(scale * torch.randn_like(weight))
    model.save_pretrained(folder)


def context_of(run: Run, emit: Callable[[Event], None] = lambda event: None) -> Context:
    return Context(run, emit, CancelToken(), "job")
