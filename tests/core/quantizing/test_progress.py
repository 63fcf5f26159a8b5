"""Losses as gptqmodel prints them, and nothing that escapes into its threads."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.quantizing.progress import QuantizationProgress, read_loss

pytest_plugins = ["tests.support.quantize_bench"]


@pytest.mark.parametrize(
    ("text", "value", "broken"),
    [
        ("0.0027717844", 0.0027717844, False),
        ("0.0000000000", 0.0, False),
        ("fallback(rtn): 0.0123000", None, False),  # a rarely routed expert
        ("fallback(rtn): nan", None, True),
        ("rtn fallback", None, True),
        ("999999999", None, True),
        ("999999999.0000000000", None, True),
        ("nan", None, True),
        ("inf", None, True),
        ("unknown", None, True),
    ],
)
def test_losses(text: str, value: float | None, broken: bool) -> None:
    loss = read_loss(text)
    assert loss.value == value and bool(loss.broken) is broken
    assert (loss.note != "") is (value is None)


def test_nothing_escapes_into_the_threads_of_gptqmodel() -> None:
    def send(kind: str, **body: Any) -> None:
        raise BrokenPipeError("the parent is gone")

    progress = QuantizationProgress(send, CancelToken())
    progress.layer_done(0)
    progress.module_done({"layer": "no number"})
    assert progress.should_stop
    with pytest.raises(BrokenPipeError):
        progress.check()
