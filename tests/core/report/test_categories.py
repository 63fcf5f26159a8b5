"""The report's table of the categories of the held-out seeds."""

from __future__ import annotations

from typing import Any

from faq_tui.core.report.categories import SHOWN, category_lines


def row(category: str, equal: str = "tokens", **more: Any) -> dict[str, Any]:
    difference = {"value": -0.1, "low": -0.2, "high": -0.05}
    base = {"recipe": "gptq-w4", "source": "elder", "equal": equal, "text": "answers", "category": category}
    return {**base, "items": 12, "ours": 0.2, "baseline": 0.3, "difference": difference, **more}


def body(*rows: dict[str, Any]) -> dict[str, Any]:
    compared = [
        {"recipe": "gptq-w4", "source": "elder", "equal": equal, "baseline": "gptq-w4-baseline-tokens", "ours": "x"}
        for equal in ("samples", "tokens")
    ]
    return {"by_category": list(rows), "texts": [{"name": "answers", "title": "answers"}], "comparisons": compared}


def test_the_rows_at_equal_tokens_are_shown_if_there_are_any() -> None:
    lines = category_lines(body(row("math", "samples"), row("code")))
    assert lines[0] == "## KL by category of the held-out seeds"
    (line,) = (line for line in lines if line.startswith("| gptq-w4"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["gptq-w4", "elder", "code", "12", "0.3000", "0.2000", "-0.1000 [-0.2000, -0.0500]"]
    assert "| math" in "\n".join(category_lines(body(row("math", "samples"))))
    assert category_lines(body()) == category_lines({}) == []


def test_names_are_escaped_and_long_tables_are_cut() -> None:
    lines = category_lines(body(*(row(f"a|<b>{number}") for number in range(SHOWN + 2))))
    assert "- report.json lists 2 more rows." in lines
    assert len([line for line in lines if line.startswith("| gptq-w4")]) == SHOWN
    assert not any("<b>" in line or "a|" in line.replace("a\\|", "") for line in lines)
