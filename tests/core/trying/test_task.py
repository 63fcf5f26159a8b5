"""The worker's task `try`: characters of tokens, and the sentences about memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.opening import Opening
from faq_tui.core.trying import task
from faq_tui.core.trying.task import LONGEST_CHARACTER, PieceDecoder
from faq_tui.core.worker.parent import _raise_if_failed
from tests.support.tiny import make_tiny_model, make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()


def pieces_of(ids: list[int]) -> list[str]:
    decoder = PieceDecoder(TOKENIZER)
    pieces = [decoder.add(token) for token in ids]
    return [*pieces, decoder.rest()]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=30))
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    """Each token of this tokenizer is a byte or a few letters, so most characters consist of several tokens."""
    pieces = pieces_of(TOKENIZER(text, add_special_tokens=False)["input_ids"])
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces), "no half character is ever shown"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=40))
def test_broken_bytes_are_shown_after_a_while(ids: list[int]) -> None:
    """A model may write bytes that are no text. They must not hold back the text after them."""
    pieces = pieces_of(ids)
    silent = 0
    for token, piece in zip(ids, pieces, strict=False):
        hidden = token in TOKENIZER.all_special_ids
        silent = 0 if piece or hidden else silent + 1
        assert silent < LONGEST_CHARACTER


def test_special_tokens_have_no_text() -> None:
    end = TOKENIZER.convert_tokens_to_ids("<|im_end|>")
    assert pieces_of([*TOKENIZER("a b", add_special_tokens=False)["input_ids"], end])[-2:] == ["", ""]


def test_a_model_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_tiny_model(tmp_path / "target", layers=1)
    spec: dict[str, Any] = {
        "model": str(folder), "trust_remote_code": False, "device": "cpu", "dtype": "auto", "read": "auto",
        "name": "target", "folder": None,
    }  # fmt: skip
    monkeypatch.setattr(Opening, "fits", lambda _self: False)
    with pytest.raises(FaqError, match="more memory than is free: try fewer models at once, or set `command`"):
        task._writer(spec, lambda *_: None)
    with pytest.raises(FaqError, match=r"there is no model in .*gone: quantize it again"):
        task._writer({**spec, "folder": str(tmp_path / "gone")}, lambda *_: None)


def test_the_sentence_of_a_model_that_runs_out_of_memory(tmp_path: Path) -> None:
    last = {"kind": "error", "message": "OutOfMemoryError: CUDA", "exit_code": 1, "reason": "OutOfMemoryError"}
    with pytest.raises(
        FaqError, match="try ran out of memory: use fewer models at once, a shorter answer or a small"
    ):
        _raise_if_failed("try", {}, last, 1, CancelToken(), tmp_path / "log.txt")
