"""The first view: the answer in one sentence, all differences in one picture, and the draws that are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.run import events as e
from faq_tui.core.store.sets import SetRow, add_set
from faq_tui.tui.panes.evidence.overview import overview_parts
from faq_tui.tui.panes.evidence.pane import EvidencePane
from faq_tui.tui.widgets.flow import Flow
from tests.support.app_host import until
from tests.support.evidence_run import evidence_run, line_of, measure, settled
from tests.support.pane_host import PaneHost


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_the_answer_and_the_picture_come_first(tmp_path: Path, size: tuple[int, int]) -> None:
    with evidence_run(tmp_path / "run", entropies=True) as run:
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=size) as pilot:
            await settled(pane, pilot)
            text = app.screen_text
            assert "No. The gain comes from having more text" in text
            assert text.index("Equal tokens") < text.index("Equal samples")
            row = line_of(text, "elder · pydoc", 1)
            assert "●" in row and "-0.1015 better" in row
            assert row.index("│") < row.index("●"), "better is on the right"
            copied = str(pane.text_to_copy())
            assert copied.startswith("No. The gain") and "KL on answers: ±4% after 1 draw" in copied
            await pilot.press("G")
            await settled(pane, pilot)
            assert "±5% needs 8 draws" in " ".join(app.screen_text.split())
            await pilot.press("g")
            await settled(pane, pilot)
            assert "KL, difference from the baseline" in app.screen_text
            await pilot.press("v")
            await settled(pane, pilot)
            assert "equal tokens · p corrected for all" in app.screen_text
            assert not line_of(app.screen_text, "elder").startswith(" elder "), "only the comparison at equal tokens"


async def test_the_table_until_something_is_compared(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run", sets={"baseline": 0.3}) as run:
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            assert "KL on pydoc" in app.screen_text and pane.view_state.view == "table"


async def test_a_chosen_view_stays(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run") as run:
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            await pilot.press("v", "m")
            before = pane.loaded
            measure(run, "gptq-w4g128-elder", 0.05)
            app.hear(e.MeasurementReady("gptq-w4g128-elder", "pydoc", "kl", 0.05))
            await until(pilot, lambda: pane.loaded is not before)
            await settled(pane, pilot)
            assert (pane.view_state.view, pane.view_state.match) == ("table", "both")
            assert pane.loaded.evidence is not None and pane.loaded.evidence.rows[0].name == UNQUANTIZED


async def test_sets_of_unequal_sizes_are_named(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run") as run:
        for name, tokens in {"baseline-tokens": 3000, "elder-tokens": 2900}.items():
            add_set(run.store, SetRow(name, name, 10, tokens, tokens, 0, {}))
        pane = EvidencePane(run)
        async with PaneHost(pane).run_test(size=(120, 60)) as pilot:
            await settled(pane, pilot)
            shown = " ".join(str(pane.text_to_copy()).split())
    assert "elder: It is not compared with baseline-tokens at equal tokens, because it has 2,900 tokens, and" in shown
    assert shown.index("KL, difference from") < shown.index("elder: It is not")


def test_without_a_report_the_view_is_empty() -> None:
    assert overview_parts({}, 80) == []
    empty: dict[str, Any] = {"comparisons": [], "texts": []}
    assert [part and part[0] for part in overview_parts(empty, 80)] == [
        "There is no difference to draw: press v for the table of models."
    ]


def test_each_category_of_held_out_seeds_has_a_line() -> None:
    def outcome(category: str, low: float, high: float) -> dict[str, Any]:
        difference = {"value": (low + high) / 2, "low": low, "high": high}
        names = {"recipe": "gptq", "source": "elder", "equal": "tokens", "text": "answers", "category": category}
        return {**names, "items": 7, "ours": 0.1, "baseline": 0.2, "difference": difference}

    rows = [outcome("math", -0.2, -0.1), outcome("co\x1b[31mde", -0.3, -0.2), outcome("writing", -0.1, 0.1)]
    compared = {
        "recipe": "gptq",
        "source": "elder",
        "equal": "tokens",
        "baseline": "gptq-baseline-tokens",
        "texts": {},
    }
    parts = overview_parts({"by_category": rows, "comparisons": [compared], "texts": []}, 80)
    flow = Flow(80)
    for part in parts:
        flow.gap() if part is None else flow.append(*part)
    found = {line.text.split()[0]: line for line in flow.lines if line.text.startswith("  ")}
    assert found["math"].text.endswith("-0.1500 [-0.2000, -0.1000]  7 answers") and found["math"].style == "green"
    assert found["writing"].style == "" and "[-0.1000, +0.1000]" in found["writing"].text
    assert len(found) == 3 and not any("\x1b" in line.text for line in flow.lines)
    assert len({line.text.rindex("[") for line in found.values()}) == 1, "the intervals stand in one column"
