"""The target's log-probabilities are kept only in memory that is free."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from faq_tui.core.evaluation import log_probs
from faq_tui.core.evaluation.log_probs import SHARE, SPARE, LogProbs, SpareMemory


def test_what_does_not_fit_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 4 * 10
    monkeypatch.setattr(log_probs, "free_bytes", lambda device: SPARE + SHARE * 2 * size)  # room for two tensors
    kept, calls = LogProbs(SpareMemory("cpu")), list[int]()

    def value(number: int) -> torch.Tensor:
        calls.append(number)
        return torch.full((2, 5), float(number))

    for _ in range(2):
        for number in range(3):
            found = kept.of((number, 0), partial(value, number))
            assert found.tolist() == [[number] * 5] * 2
    assert calls == [0, 1, 2, 2]


@pytest.mark.parametrize("free", [None, 0, SPARE])
def test_a_full_machine_keeps_nothing(free: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_probs, "free_bytes", lambda device: free)
    kept = LogProbs(SpareMemory("cpu"))
    kept.keep((0, 0), torch.ones(1, 1))
    assert not kept.kept
