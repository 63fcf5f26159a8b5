"""What identifies the target: its weights by what is in them, wherever they lie and whenever they came there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from faq_tui.core.evaluation.identity import UNQUANTIZED, subjects
from faq_tui.core.models.target import fingerprint
from faq_tui.core.run.run import open_run
from tests.support.evaluate_bench import make_noisy
from tests.support.made_up import TOML
from tests.support.tiny import make_tiny_model

WEIGHTS = "model.safetensors"


def moved(folder: Path) -> None:
    shutil.copytree(folder / "target", folder / "there")
    shutil.rmtree(folder / "target")
    (folder / "there").rename(folder / "target")
    for path in (folder / "target").iterdir():
        os.utime(path, (1, 1))


def trained_further(folder: Path) -> None:
    made = folder / "other"
    make_noisy(folder / "target", made, 0.01)
    assert (made / WEIGHTS).stat().st_size == (folder / "target" / WEIGHTS).stat().st_size
    shutil.copy(made / WEIGHTS, folder / "target" / WEIGHTS)


def other_letters(folder: Path) -> None:
    path = folder / "target" / "generation_config.json"
    path.write_text(path.read_text().replace("transformers_version", "transformers_versiom"))


@pytest.mark.parametrize(("change", "same"), [(moved, True), (trained_further, False), (other_letters, False)])
def test_other_bytes_of_the_same_length_are_another_target(
    tmp_path: Path, change: Callable[[Path], None], same: bool
) -> None:
    make_tiny_model(tmp_path / "target", hidden=64, layers=2, dtype="float32")
    (tmp_path / "faq.toml").write_text(TOML)
    with open_run(tmp_path) as run:
        before = fingerprint(run), subjects(run)[UNQUANTIZED]
        assert (fingerprint(run), subjects(run)[UNQUANTIZED]) == before
        change(tmp_path)
        after = fingerprint(run), subjects(run)[UNQUANTIZED]
    assert [a == b for a, b in zip(before, after, strict=True)] == [same, same]
