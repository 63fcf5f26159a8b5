"""Two sets with the same token ids share one artefact's weights; once they differ, each has its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.run.run import open_run
from faq_tui.core.store.artefacts import all_artefacts
from tests.support.shell import faq_tui_process
from tests.support.tiny import TINY_RUN, make_tiny_run

pytestmark = pytest.mark.slow

SETTINGS = (
    TINY_RUN
    + """
[sets.medium]
count = {medium}
[sets.large]
count = {large}
[[recipes]]
method = "w8a8"
sets = ["medium", "large"]
"""
)
MEDIUM, LARGE = "w8a8-w8gc-medium", "w8a8-w8gc-large"


def quantized(run: Path, medium: int, large: int) -> dict[str, str]:
    """By artefact: the folder whose weights are its own."""
    (run / "faq.toml").write_text(SETTINGS.format(medium=medium, large=large), encoding="utf-8")
    done = faq_tui_process("run", run, "--until", "quantize", timeout=600)
    assert done.code == 0, done.err
    with open_run(run) as opened:
        found = all_artefacts(opened.store)
    for name, artefact in found.items():
        manifest = json.loads((run / "models" / artefact.folder / "faq_manifest.json").read_text())
        assert manifest["samples"] == {MEDIUM: medium, LARGE: large}[name], "the weights are of its own set"
    return {name: artefact.folder for name, artefact in found.items()}


def test_a_twin_about_to_change_lends_its_weights_to_none(tmp_path: Path) -> None:
    make_tiny_run(tmp_path, TINY_RUN)
    assert quantized(tmp_path, 8, 8) == {MEDIUM: MEDIUM, LARGE: MEDIUM}
    assert quantized(tmp_path, 6, 8) == {MEDIUM: MEDIUM, LARGE: LARGE}
    # The middle set now has the ids from which the large one was made, which is to be made anew after it.
    assert quantized(tmp_path, 8, 12) == {MEDIUM: MEDIUM, LARGE: LARGE}
