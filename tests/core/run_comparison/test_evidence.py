"""The evidence of two runs in one picture, and when its figures are not comparable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.report.forest import lines_of
from faq_tui.core.run.run import open_run
from faq_tui.core.run_comparison.evidence import MeasuredEvidence, common_panels, measured_evidence, reasons
from tests.support.compared_runs import two_runs

SAME = {"pydoc": ("target", "items", "float32.cpu"), "answers": ("target", "more", "float32.cpu")}
BODY: dict[str, Any] = {"comparisons": [], "texts": []}


def evidence(conditions: dict[str, tuple[str, str, str]], body: dict[str, Any] | None = BODY) -> MeasuredEvidence:
    return MeasuredEvidence(body, "", conditions)


@pytest.mark.parametrize(
    ("other", "names", "words"),
    [
        (SAME, ("a", "b"), []),
        (
            {text: ("another", *rest) for text, (_, *rest) in SAME.items()},
            ("Qwen3-8B", "Qwen3-4B"),
            ["different targets (Qwen3-8B and Qwen3-4B)"],
        ),
        (
            {text: ("another", *rest) for text, (_, *rest) in SAME.items()},
            ("Qwen3-8B", "Qwen3-8B"),
            ["different targets (two versions of Qwen3-8B)"],
        ),
        (
            {**SAME, "answers": ("target", "changed", "float32.cpu")},
            ("a", "a"),
            ["held-out texts differ", "answers."],
        ),
        (
            {text: (*rest, "bfloat16.cuda") for text, (*rest, _) in SAME.items()},
            ("a", "a"),
            ["measured in float32 on cpu and in bfloat16 on cuda"],
        ),
        ({"choices": ("target", "items", "float32.cpu")}, ("a", "a"), ["No held-out text is measured in both runs"]),
    ],
)
def test_why_figures_are_not_comparable(
    other: dict[str, tuple[str, str, str]], names: tuple[str, str], words: list[str]
) -> None:
    sentences = reasons(names, evidence(SAME), evidence(other))
    assert len(sentences) == bool(words)
    for part in words:
        assert part in sentences[0] and "pydoc" not in sentences[0]


def test_a_run_without_evidence_is_compared_by_its_target() -> None:
    assert reasons(("a", "b"), evidence(SAME), evidence({}, None)) == (), "two names of one model"
    (sentence,) = reasons(("a", "b"), evidence({}, None), replace(evidence({}, None), target="another"))
    assert "different targets (a and b)" in sentence


def test_both_runs_have_one_scale(tmp_path: Path) -> None:
    one, other = two_runs(
        tmp_path, sets={"baseline": 0.3, "elder": 0.1, "baseline-tokens": 0.3, "elder-tokens": 0.25}
    )
    with open_run(one, read_only=True) as ours, open_run(other, read_only=True) as theirs:
        bodies = [measured_evidence(run).body or {} for run in (ours, theirs)]
    found = common_panels(bodies)
    for panel in found:
        whats = [row.what for row in panel.rows]
        assert [what[0] for what in whats] == ["A", "B"] * (len(whats) // 2)
        assert all(a[2:] == b[2:] for a, b in zip(whats[::2], whats[1::2], strict=True)), "neighbours"
        assert [row.equal for row in panel.rows] == sorted((row.equal for row in panel.rows), reverse=True)
    only_samples = {**bodies[0], "comparisons": [c for c in bodies[0]["comparisons"] if c["equal"] == "samples"]}
    mixed = next(panel for panel in common_panels((only_samples, bodies[1])) if panel.metric == "kl")
    assert [row.equal for row in mixed.rows] == ["tokens"] * 2 + ["samples"] * 4
    kl = next(panel for panel in found if panel.metric == "kl")
    ours_row, theirs_row = kl.rows[-2:]
    assert theirs_row.outcome["difference"]["value"] < ours_row.outcome["difference"]["value"] < 0
    lines = [str(line) for line in lines_of([kl], 90)]
    below_a, below_b = (next(line for line in reversed(lines) if f"  {mark} elder" in line) for mark in "AB")
    assert below_b.index("●") > below_a.index("●"), "the larger gain is further on the right"
    assert below_a.index("│") == below_b.index("│"), "one zero"
    assert common_panels((None, None)) == ()
