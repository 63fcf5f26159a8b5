"""The pane Evidence: table, verdicts in words, scatter, items side by side, the paper's figures, export."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from textual.pilot import Pilot

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evidence import collect
from faq_tui.core.run import events as e
from faq_tui.core.run.run import open_run
from faq_tui.core.store.measurements import all_measurements
from faq_tui.tui.live import LiveState
from faq_tui.tui.panes.evidence.items import ModelBox
from faq_tui.tui.panes.evidence.line_list import Lines
from faq_tui.tui.panes.evidence.pane import EvidencePane
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import app_on, text_of, until
from tests.support.evidence_run import SETS, TOML, add_words, evidence_run, in_table, line_of, measure, settled
from tests.support.pane_host import PaneHost
from tests.support.pane_runs import bare_run

SIZES = [(80, 24), (120, 36), (200, 60)]
BAD = "[red]x[/red] \x1b]52;c;SEVMTE8=\x07\x1b[2J \u202egnp.exe [/]"


@pytest.fixture(autouse=True)
def _a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@asynccontextmanager
async def opened(
    tmp_path: Path, size: tuple[int, int] = (80, 24), **made: Any
) -> AsyncIterator[tuple[PaneHost, EvidencePane, Any]]:
    """The pane with the table of all comparisons."""
    with evidence_run(tmp_path / "run", **made) as run:
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=size) as pilot:
            await in_table(pane, pilot)

            async def press(*keys: str) -> str:
                for key in keys:
                    await pilot.press(key)
                await settled(pane, pilot)
                return app.screen_text

            yield app, pane, press


async def test_the_table_says_what_the_evidence_says(tmp_path: Path) -> None:
    async with opened(tmp_path, (120, 50)) as (app, pane, _press):
        text = app.screen_text
        assert "At equal samples: 3 better, 2 within noise   At equal tokens: 5 within noise" in text
        assert "KL on pydoc · lower is better" in text and "word perplexity on pydoc" in text
        found = collect(pane.run)
        samples, tokens = found.comparisons
        for number, comparison in enumerate((samples, tokens)):
            outcome = comparison.texts["pydoc"]["kl"]
            row = line_of(text, ("elder ", "elder-tokens ")[number])
            estimate = next(r for r in found.rows if r.name == comparison.ours).texts["pydoc"]["kl"]
            assert f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]" in row
            assert outcome.recovered is not None and f"{100 * outcome.recovered.value:.0f}% [" in row
            assert f" {outcome.verdict} " in row
            assert f"{outcome.difference.value:+.4f} [{outcome.difference.low:+.4f}" in row
        assert line_of(text, "unquantized").split() == ["unquantized", "0.0000"]
        assert samples.texts["pydoc"]["kl"].verdict == "better"


async def test_down_and_up(tmp_path: Path) -> None:
    """evidence.down, evidence.up, evidence.page_down, evidence.page_up, evidence.first, evidence.last"""
    async with opened(tmp_path) as (app, pane, press):
        lines = pane.query_one(Lines)
        assert "How far predictions are" in app.screen_text
        text = await press("j", "down", "down", "down")
        assert lines.cursor == 4
        detail = " ".join(text.split())
        assert "gptq-w4g128, elder against baseline at equal samples: -0.1" in detail
        assert "Better: larger than noise, even among this many comparisons" in detail
        assert "The model before quantization" in await press("k", "k", "up")
        assert "KL on pydoc" not in await press("pagedown", "space") and lines.cursor > 12
        assert "accuracy on multiple choice (starter)" in await press("G")
        await press("pageup")
        assert lines.cursor < len(pane.rows) - 5
        assert "KL on pydoc" in await press("g") and lines.cursor == 0


async def test_match_and_metrics(tmp_path: Path) -> None:
    """evidence.match, evidence.metrics"""
    async with opened(tmp_path, (110, 60)) as (app, pane, press):
        assert "equal samples\n" in unpadded(app.screen_text) and "elder-tokens" in app.screen_text
        text = await press("m")
        assert "elder-tokens" not in text and line_of(text, "elder ")
        text = await press("m")
        assert "elder-tokens" in text and not re.search(r"\n +elder ", text)
        text = await press("m")
        assert "elder-tokens" in text and re.search(r"\n +elder ", text)
        before = len(pane.rows)
        text = await press("a")
        longest = max(all_measurements(pane.run.store)[UNQUANTIZED, "pydoc"].items["tokens"])
        assert f"token perplexity, windows of {longest + 1:.0f}, on pydoc · lower is better" in text
        assert "top-1 agreement on pydoc · higher is better" in text and "all metrics" in text
        assert len(pane.rows) > 2 * before
        text = await press("G")
        assert "flips on multiple choice (starter) · lower is better" in text
        await press("a")
        assert len(pane.rows) == before


def unpadded(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


async def test_columns(tmp_path: Path) -> None:
    """What has no room beside the others is a key away."""
    async with opened(tmp_path) as (app, _pane, press):
        assert "loss recovered" in app.screen_text
        text = await press("l")
        assert "loss recovered" not in text
        change = line_of(text, "elder ")
        assert re.search(r" better +-0\.\d{4} \[-0\.\d{4}, -0\.\d{4}\] +≤ 0\.001", change)
        assert "loss recovered" in await press("h")
    async with opened(tmp_path / "large", (120, 36)) as (app, _pane, press):
        assert "loss recovered" in app.screen_text and "change" in app.screen_text
        before = app.screen_text
        assert await press("l") == before, "all have room"


async def test_view(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_app, _pane, press):
        text = await press("v")
        assert "→ general: KL on pydoc" in text and "↑ specialised: KL on answers" in text
        for mark, name in zip("UABCD", (UNQUANTIZED, *(f"gptq-w4g128-{name}" for name in SETS)), strict=True):
            assert line_of(text, f"{mark}  {name}"), "the legend"
        plot = text[text.index("specialised") : text.index("unquantized")]
        assert all(re.search(rf"[┤│ ]{mark}|[A-D]{mark}", plot) for mark in "UABCD"), "each has its own cell"
        text = await press("v")
        assert "unquantized  baseline     elder        item" in text
        text = await press("v")
        assert "How spiky the activations are" in text and "What was run" in text and "Seeds: seeds.jsonl" in text
        assert "**" not in text and "Big-8B" in await press("pagedown")
        assert "difference from the baseline" in await press("v")
        assert "KL on pydoc" in await press("v")
    async with opened(tmp_path / "large", (200, 60)) as (app, _pane, press):
        assert "specialised" in app.screen_text and "loss recovered" in app.screen_text
        text = await press("v")
        assert "specialised" in text and "loss recovered" not in text and "item" in text


@pytest.mark.slow
async def test_open_and_back(tmp_path: Path) -> None:
    """evidence.open, evidence.back: what the three models made of an item."""
    async with opened(tmp_path) as (app, pane, press):
        await press("enter")
        assert pane.opened is None, "only items open"
        await press("v", "v")
        flips = {f.text: set(f.lost + f.won) for f in collect(pane.run).flips if f.model.endswith("baseline")}
        listed = [entry for entry in pane.entries if entry.text == "choices:starter" and entry.cells[1] == "wrong"]
        assert {entry.number for entry in listed} == flips["choices:starter"] != set()
        at = pane.entries.index(listed[0])
        text = await press(*["j"] * at, "enter")
        number = listed[0].number
        assert f"multiple choice (starter), item {number + 1}" in text
        assert f"Question {number}: what do people use" in text and "← right" in text
        right, wrong = pane.loaded.bodies["choices:starter"][number]["answer"], listed[0].cells
        assert wrong[:2] == ("right", "wrong")
        letters = re.findall(r"likeliest: ([A-D])", text)
        assert letters[0] == "ABCD"[right] and letters[1] == "ABCD"[(right + 1) % 4]
        assert text.count("gptq-w4g128-") == 4 and "unquantized" in text
        assert pane.text_to_copy() is not None and f"Question {number}" in str(pane.text_to_copy())
        assert pane.opened == pane.entries[at]
        await press("j")
        assert pane.opened == pane.entries[at + 1], "the next item"
        text = await press("escape")
        assert pane.opened is None and "item" in text and pane.query_one(Lines).cursor == at + 1
        text = await press("G", "enter")
        assert re.search(r"item \d+ +\d+ of \d+", text) and "The text of this item is not stored" in " ".join(
            text.split()
        )
        assert "KL 0.0000 nats a token" in text and "token perplexity" in text
        assert app.pane is pane


@pytest.mark.slow
async def test_an_item_without_labels_is_read_token_by_token(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run") as run:
        add_words(run)
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await in_table(pane, pilot)
            await pilot.press("v", "v")
            await settled(pane, pilot)
            at = next(n for n, entry in enumerate(pane.entries) if entry.text == "answers")
            for key in [*["j"] * at, "enter"]:
                await pilot.press(key)
            await settled(pane, pilot)
            number = pane.entries[at].number
            text = app.screen_text
            assert f"Question {number} of answers?" in text and "underlined" in text
            assert text.count("word0 word1") == 2, "for each of the two models, and not for the unquantized"
            said = [box.query_one(".result", LiteralText) for box in pane.query(ModelBox) if box.display]
            for box in said:
                shown = box.content
                assert isinstance(shown, Text)
                styles = {shown.plain[span.start : span.end]: str(span.style) for span in shown.spans}
                assert styles[" word2"] == "underline bold red"
                assert " word1" not in {t for t, style in styles.items() if style}
            before = app.screen_text
            await pilot.press("pagedown")
            await settled(pane, pilot)
            assert app.screen_text != before and "word0 word1" not in app.screen_text, "both are scrolled"
            assert "word0" in str(pane.text_to_copy())


async def test_left_model_and_right_model(tmp_path: Path) -> None:
    """evidence.left_model, evidence.right_model"""
    async with opened(tmp_path, (120, 36)) as (_app, pane, press):
        await press("v", "v")
        assert (pane.view_state.left, pane.view_state.right) == ("gptq-w4g128-baseline", "gptq-w4g128-elder")
        text = await press("b", "s")
        assert (pane.view_state.left, pane.view_state.right) == ("gptq-w4g128-elder", "gptq-w4g128-baseline-tokens")
        assert "left gptq-w4g128-elder, right gptq-w4g128-baseline-tokens" in text
        text = await press("G", "enter", "s")
        assert "gptq-w4g128-elder-tokens" in text, "also in the open item"


@pytest.mark.slow
async def test_paper(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _pane, press):
        assert "The FAQ paper (arXiv 2601.11200) has no table for the model ./target." in await press("p")
        assert "KL on pydoc" in await press("p")
    async with opened(tmp_path / "known", model="Qwen/Qwen3-8B") as (app, _pane, press):
        text = await press("p")
        assert "Table 1 · GPTQ INT4" in text
        assert line_of(text, "wikitext2 word ppl").split()[3:] == ["12.20", "13.10", "12.95", "better", "-0.15"]
        assert "Table 1 ·" not in await press("pagedown", "j"), "it scrolls"
        assert "general: KL" in await press("v"), "another view takes its place"
    async with opened(tmp_path / "large", (200, 60), model="Qwen/Qwen3-8B") as (app, _pane, press):
        assert "Table 1 · GPTQ INT4" in app.screen_text and "loss recovered" in app.screen_text
        assert "Table 1 · GPTQ INT4" not in await press("p")


async def test_export(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pane, press):
        await press("e")
        async with asyncio.timeout(20):
            while not any("Wrote" in n.message for n in app._notifications):
                await press()
        told = next(n.message for n in app._notifications if "Wrote" in n.message)
        assert told == f"Wrote report.md, report.json, report.html to {pane.run.reports}"
        body = json.loads((pane.run.reports / "report.json").read_text())
        assert body["comparisons"][0]["texts"]["pydoc"]["kl"]["verdict"] == "better"
        assert "At equal tokens" in (pane.run.reports / "report.md").read_text()
        assert "<svg" in (pane.run.reports / "report.html").read_text()


async def test_a_replay_writes_nothing(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run"):
        pass
    with open_run(tmp_path / "run", read_only=True) as run:
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            await pilot.press("e")
            await until(pilot, lambda: list(app._notifications))
            assert [n.message for n in app._notifications] == ["this is a replay, which writes no files"]
            assert not run.reports.exists()


async def test_copy(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_app, pane, _press):
        rows = str(pane.text_to_copy()).splitlines()
        assert rows[0].split("\t")[:5] == ["model", "value", "interval 95%", "loss recovered", "verdict"]
        assert any(row.split("\t")[0].strip() == "elder" and "\tbetter\t" in row for row in rows)


async def test_nothing_yet_then_a_measurement_is_ready(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "made"):
        pass
    with bare_run(tmp_path / "run", count=3) as run:
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            assert "Nothing is measured yet. The stage evaluate" in app.screen_text
            assert pane.text_to_copy() is None
            for key in ("j", "G", "v", "m", "a", "p", "enter", "b", "s", "e", "escape"):
                await pilot.press(key)
            assert "Nothing is measured yet" in app.screen_text
            measure(run, UNQUANTIZED, 0.0, ("pydoc",))
            app.hear(
                e.StageStarted("evaluate", 9, "measurements"), e.MeasurementReady(UNQUANTIZED, "pydoc", "kl", 0.0)
            )
            await until(pilot, lambda: "KL on pydoc" in app.screen_text)
            assert "Only the unquantized model is measured so far." in app.screen_text
            for key in ("v", "v", "j", "enter", "b", "s"):
                await pilot.press(key)
            assert "No item flipped" in app.screen_text


def test_when_a_stage_runs() -> None:
    live = LiveState()
    assert live.when("evaluate") == "r starts it"
    live.stages = ("quantize", "evaluate", "report")
    assert live.when("evaluate") == "it comes later in the running job"
    assert live.when("seeds") == "the running job does not include it"
    live.apply(e.StageStarted("evaluate", 9, "measurements"), 1.0)
    assert live.when("evaluate") == "it is running now"
    live.apply(e.StageDone("evaluate", 9.0, ""), 2.0)
    assert live.when("evaluate") == "the running job has finished it"
    replay = LiveState()
    replay.apply(e.StageStarted("quantize", 2, "artefacts"), 1.0)
    assert replay.when("evaluate") == ""


async def test_it_says_when_the_stage_that_measures_runs(tmp_path: Path) -> None:
    only = "Only the unquantized model is measured so far. The stage evaluate measures artefacts"
    with bare_run(tmp_path / "run", count=3) as run:
        measure(run, UNQUANTIZED, 0.0, ("pydoc",))
        pane = EvidencePane(run)
        app = PaneHost(pane)

        def text() -> str:
            return " ".join(app.screen_text.split())

        async with app.run_test(size=(120, 24)) as pilot:
            await settled(pane, pilot)
            assert f"{only}; r starts it." in text()
            app.live.stages = ("quantize", "evaluate", "report")
            app.hear(e.StageStarted("quantize", 2, "artefacts"))
            await until(pilot, lambda: f"{only}; it comes later in the running job." in text())
            app.hear(e.StageDone("quantize", 9.0, "2 artefacts"), e.StageStarted("evaluate", 9, "measurements"))
            await until(pilot, lambda: f"{only}; it is running now." in text())
            assert "r starts it" not in text()


async def test_measurements_of_another_model(tmp_path: Path) -> None:
    with evidence_run(tmp_path / "run") as run:
        (tmp_path / "run" / "target" / "config.json").write_text('{"other": 1}')
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            assert "The stage evaluate repeats the outdated measurements; r starts it." in " ".join(
                app.screen_text.split()
            )


async def test_a_measurement_more_is_shown_at_once(tmp_path: Path) -> None:
    two = {name: SETS[name] for name in ("baseline", "elder")}
    with evidence_run(tmp_path / "run", sets=two) as run:
        pane = EvidencePane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            before = line_of(app.screen_text, "elder ")
            measure(run, "gptq-w4g128-elder", 0.05)
            await settled(pane, pilot)
            assert line_of(app.screen_text, "elder ") == before
            app.hear(e.MeasurementReady("gptq-w4g128-elder", "pydoc", "kl", 0.05))
            await until(pilot, lambda: line_of(app.screen_text, "elder ") != before)


async def test_sets_of_no_comparison_and_draws(tmp_path: Path) -> None:
    """Every artefact is listed, compared or not."""
    toml = TOML + "repeats = 2\n[sets.mine]\nfrom = 'elder'\n"
    sets = {"baseline": 0.3, "elder": 0.2, "baseline-r2": 0.31, "elder-r2": 0.21, "mine": 0.25}
    async with opened(tmp_path, (120, 60), sets=sets, toml=toml) as (_app, pane, press):
        text = await press("j", "j", "j", "j")
        assert "gptq-w4g128, further sets and single draws" in text
        further = text[text.index("further sets") :]
        for name in ("baseline ", "elder ", "baseline-r2", "elder-r2", "mine"):
            assert re.search(r" 0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]", line_of(further, name))
        assert "elder against baseline at equal samples, over 2 draws: " in text
        assert pane.loaded.evidence is not None and pane.loaded.evidence.comparisons[0].draws == 2


async def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    async with opened(tmp_path, (120, 36), bad=BAD) as (app, pane, press):
        await press("v", "v")
        at = next(n for n, entry in enumerate(pane.entries) if entry.text == "choices:starter")
        texts = [app.screen_text, await press(*["j"] * at), await press("enter")]
        assert all("[red]x[/red]" in text for text in texts)
        assert not set("\x1b\x07\u202e") & set("".join(texts))


async def test_without_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the real app: verdicts are words, points are letters."""
    monkeypatch.setenv("NO_COLOR", "1")
    with evidence_run(tmp_path / "run"):
        pass
    app = app_on(tmp_path / "run")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: "within noise" in text_of(app))
        assert "-0.1015 better" in text_of(app) and "├" in text_of(app)
        await pilot.press("v")
        await until(pilot, lambda: "3 better" in text_of(app))
        await pilot.press("v")
        await until(pilot, lambda: "A  gptq-w4g128-baseline" in text_of(app))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("view", ["overview", "table", "scatter", "item"])
def test_snapshot(tmp_path: Path, snap_compare: Any, size: tuple[int, int], view: str) -> None:
    # Where the scatter stands beside the table, it is no view of its own.
    item = ("vv" if size[0] > 150 else "vvv") + "jjjjjj"
    keys = {"overview": "", "table": "vjjjj", "scatter": "vv", "item": item}[view]
    with evidence_run(tmp_path / "run", model="Qwen/Qwen3-8B", entropies=view == "overview") as run:
        pane = EvidencePane(run)

        async def before(pilot: Pilot[Any]) -> None:
            await settled(pane, pilot)
            for key in keys:
                await pilot.press(key)
            if view == "item":
                pane.action_open()
            await settled(pane, pilot)

        assert snap_compare(PaneHost(pane), terminal_size=size, run_before=before)
