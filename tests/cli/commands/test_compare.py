"""`faq-tui compare`: text for people, JSON for programs, and one sentence if it cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.run.run import open_run
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.compared_runs import two_runs
from tests.support.shell import faq_tui


def test_text_and_json(tmp_path: Path) -> None:
    one, other = two_runs(tmp_path, "[activations]\nsamples = 5\n", hostile="\x1b[2J\u202e", count=50)
    result = faq_tui("compare", one, other)
    assert result.code == 0 and result.err == ""
    text = result.out
    assert "\x1b" not in text and "\u202e" not in text
    assert f"A  {one}" in text and f"B  {other}" in text
    lines = text.splitlines()
    assert [line.split() for line in lines if line.startswith("activations")] == [["activations.samples", "64", "5"]]
    assert any("A elder" in line and "●" in line for line in lines) and any("B elder" in line for line in lines)
    assert "The runs use different answers for 25 of 50 picks." in lines
    assert sum("B 2 (judge)" in line for line in lines) == 20 and "  and 5 more; --json prints all of them" in lines
    body = json.loads(faq_tui("compare", one, other, "--json").out)
    assert len(body["picks"]["differing"]) == 25


def test_a_warning_comes_first(tmp_path: Path) -> None:
    lines = faq_tui("compare", *two_runs(tmp_path, model="./other-target")).out.splitlines()
    assert lines[2].startswith("Warning: The runs have different targets (./target and ./other-target)")


def test_sets_of_unequal_sizes_are_named(tmp_path: Path) -> None:
    one, other = two_runs(tmp_path)
    with open_run(other) as run:
        for name, tokens in {"baseline-tokens": 3000, "elder-tokens": 2900}.items():
            add_set(run.store, SetRow(name, name, 10, tokens, tokens, 0, {}))
    about = "elder: It is not compared with baseline-tokens at equal tokens, because it has 2,900 tokens, and"
    lines = faq_tui("compare", one, other).out.splitlines()
    assert [line for line in lines if about in line] == [lines[2]] and lines[2].startswith(f"Note on B: {about}")
    runs = json.loads(faq_tui("compare", one, other, "--json").out)["runs"]
    assert runs["A"]["not_compared"] == [] and runs["B"]["not_compared"][0].startswith(about)


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    one, _ = two_runs(tmp_path)
    for arguments, words in (((one, one), "are the same run"), ((one, tmp_path / "none"), "none")):
        result = faq_tui("compare", *arguments)
        assert result.code == ExitCode.USAGE and result.out == ""
        assert words in result.err and result.err.count("\n") == 1
