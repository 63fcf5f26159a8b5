"""The picture of all comparisons shows each interval where it lies, and fits into its width."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.report.forest import POINT, ZERO, forest_lines, panels, picture

FLOATS = st.floats(-5.0, 5.0)


def body_of(differences: list[tuple[float, float | None, float | None]], metric: str = "kl") -> dict[str, Any]:
    """A report with one comparison for each difference (value, low, high); every other one is at equal tokens."""
    kind = {"kl": "prose", "accuracy": "choices"}[metric]
    texts = [{"name": "t", "title": "a text", "kind": kind, "metrics": [metric]}]
    comparisons = []
    for number, (value, low, high) in enumerate(differences):
        outcome = {"difference": {"value": value, "low": low, "high": high}, "verdict": "within noise"}
        names = {"recipe": "gptq", "source": f"s{number}", "equal": ("samples", "tokens")[number % 2]}
        comparisons.append({**names, "baseline": "gptq-baseline", "same": False, "texts": {"t": {metric: outcome}}})
    return {"texts": texts, "comparisons": comparisons}


@settings(deadline=None)
@given(st.lists(st.lists(FLOATS, min_size=3, max_size=3).map(sorted), min_size=1, max_size=8), st.integers(60, 160))
def test_every_interval_lies_where_it_should(differences: list[list[float]], width: int) -> None:
    body = body_of([(value, low, high) for low, value, high in differences])
    lines = forest_lines(body, width)
    assert all(len(str(line)) <= width for line in lines)
    rows = {line.label.split("·")[0].strip(): line for line in lines if line.verdict}
    assert len(rows) == len(differences)
    bars = {name: line.plot for name, line in rows.items()}
    assert len({len(bar) for bar in bars.values()}) == 1
    for (low, value, high), other in pairwise(differences):
        first, second = (bars[f"s{differences.index(one)}"] for one in ([low, value, high], other))
        if value < other[1]:  # a smaller KL is better, and lies further to the right
            assert first.index(POINT) >= second.index(POINT)
    for number, (low, _, high) in enumerate(differences):
        bar = bars[f"s{number}"]
        if low > 0 and ZERO in bar:
            assert bar.index(POINT) < bar.index(ZERO)
        if high < 0 and ZERO in bar:
            assert bar.index(POINT) > bar.index(ZERO)


def test_equal_tokens_come_first_and_a_missing_interval_is_a_point() -> None:
    body = body_of([(0.1, None, None), (-0.2, -0.3, -0.1)], "accuracy")
    (panel,) = panels(body)
    assert [row.equal for row in panel.rows] == ["tokens", "samples"]
    text = "\n".join(map(str, forest_lines(body, 80)))
    assert text.index("Equal tokens") < text.index("s1 · a text") < text.index("Equal samples") < text.index("s0 · a")
    point = next(line for line in forest_lines(body, 80) if "s0" in line.label)
    assert "─" not in point.plot and point.numbers.strip() == "+10.0 points within noise"


def test_a_set_that_is_not_compared_with_the_baseline_names_the_other_set() -> None:
    body = body_of([(0.1, 0.0, 0.2), (0.1, 0.0, 0.2)])
    first, second = body["comparisons"]
    first["baseline"], second["baseline"] = "gptq-baseline-tokens", "gptq-elder"
    (panel,) = panels(body)
    assert [row.what for row in panel.rows] == ["s1 against elder · a text", "s0 · a text"]


def test_no_comparison_no_picture() -> None:
    assert picture(body_of([])) == [] == forest_lines(body_of([]), 80)
    same = body_of([(0.0, 0.0, 0.0)])
    same["comparisons"][0]["same"] = True
    assert picture(same) == []


@pytest.mark.parametrize("name", ["```", "x\n```\n\ny", "<b>", "http://host/x", "![a](b)"])
def test_a_name_stays_inside_the_code_block(name: str) -> None:
    body = body_of([(0.1, 0.0, 0.2)])
    body["texts"][0]["title"] = name
    block = picture(body)[:-3]
    assert all(line.startswith("    ") for line in block) and sum("s0" in line for line in block) == 1
    assert not any(mark in "\n".join(block) for mark in ("`", "<", "://", "!["))
