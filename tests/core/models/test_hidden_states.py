"""Hidden states are kept in the first place where they fit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch

from faq_tui.core.models import hidden_states
from faq_tui.core.models.hidden_states import DISK, StatesPlace, place_of_states, states_bytes
from faq_tui.core.models.stack import Inputs, find_stack
from faq_tui.core.models.text_model import empty_model
from tests.support.architectures import make


@pytest.mark.parametrize(
    ("size", "free", "place"),
    [
        (100, {"cuda": 301, "cpu": 1000}, "cuda"),
        (100, {"cuda": 300, "cpu": 201}, "cpu"),
        (100, {"cuda": 300, "cpu": 200}, DISK),
        (100, {"cuda": None, "cpu": 0}, "cuda"),  # the free memory is unknown
        (100, {"cuda": 0, "cpu": None}, "cpu"),
    ],
)
def test_the_first_place_where_they_fit(
    size: int, free: dict[str, int | None], place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hidden_states, "free_bytes", free.__getitem__)
    assert place_of_states(size, "cuda", tmp_path).name == place


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_states_in_a_file_have_the_same_bits_and_the_file_has_no_name(dtype: torch.dtype, tmp_path: Path) -> None:
    states, later = torch.randn(2, 3, 8).to(dtype), torch.randn(2, 3, 8).to(dtype)
    place = StatesPlace(DISK, tmp_path)
    inputs = Inputs([place.keep(states)])
    assert torch.equal(inputs.hidden[0], states) and list(tmp_path.iterdir()) == []
    place.put(inputs, 0, later)
    assert torch.equal(inputs.hidden[0], later)


def test_files_are_in_the_systems_folder_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        StatesPlace(DISK).keep(torch.zeros(1, 1, 1))


def test_several_states_of_a_token_count(tmp_path: Path) -> None:
    for kind, streams in (("llama", 1), ("deepseek_v4", 4), ("gemma3n_text", 4)):
        stack = find_stack(empty_model(make(kind, tmp_path / kind), False))
        assert states_bytes(stack, 10, torch.float32) == 10 * streams * 64 * 4
