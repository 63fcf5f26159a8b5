"""The pane Quantize: queue, recipes in faq.toml, the grid that fills, and stopping."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from faq_tui.core.artefact_queue import Queued
from faq_tui.core.base.errors import UsageError
from faq_tui.core.run import events as e
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Recipe, load_settings
from faq_tui.core.store import stages
from faq_tui.tui.live import LiveState
from faq_tui.tui.panes.quantize.pane import QuantizePane
from faq_tui.tui.panes.quantize.queue import figures, machines
from faq_tui.tui.screens.recipe import RecipeScreen
from tests.support.pane_host import NOW, PaneHost
from tests.support.pane_runs import MODULES, bare_run, loss_of, quantized_run

SIZES = [(80, 24), (120, 36), (200, 60)]
ELDER = "gptq-w4g64-elder"
SECOND = "gptq-w8g64-baseline"
HOSTILE = "[red]no[/] \x1b]52;c;aGk=\x07 \x1b[2J \u202eleft\u202c nul\x00 end"


@pytest.fixture(autouse=True)
def _a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@asynccontextmanager
async def opened(
    tmp_path: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[PaneHost, QuantizePane, Pilot[None], Run]]:
    with bare_run(tmp_path / "run", count=3) as run:
        pane = QuantizePane(quantized_run(run))
        app = PaneHost(pane)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield app, pane, pilot, run


def quantize(app: PaneHost, layers: int, of: int = 12, artefact: str = ELDER) -> None:
    """`layers` done at 2 s each, the next one half."""
    live, start = app.live, NOW - 2 * layers - 1
    live.apply(e.StageStarted("quantize", 2, "artefacts", 1), start)
    live.apply(e.StageProgress("quantize", 0, 2, artefact), start)
    live.apply(e.ArtefactStarted(artefact, of, 20, 4000), start)
    for layer in range(layers + 1):
        live.apply(e.LayerStarted(artefact, layer, MODULES), start + 2 * layer)
        for module in MODULES if layer < layers else MODULES[:2]:
            loss = None if (layer, module) == (2, "mlp.up_proj") else loss_of(layer, module)
            live.apply(e.ModuleQuantized(artefact, layer, module, loss, 0.5), start + 2 * layer + 1)
        if layer < layers:
            live.apply(e.LayerDone(artefact, layer), start + 2 * layer + 2)
    app.pane.tick(live)


def row(app: PaneHost, module: str) -> str:
    return next(line for line in app.screen_text.splitlines() if module in line and "largest" not in line)


async def test_the_queue_says_how_every_artefact_stands(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pane, pilot, run):
        lines = app.screen_text.splitlines()
        assert "▸ done" in lines[3] and "1: gptq 4 bits, groups of 64" in lines[3] and "4.31 bits · 2 min" in lines[3]
        assert "stopped" in lines[4] and "elder" in lines[4]
        assert "waiting" in lines[5] and "2: gptq 8 bits, groups of 64" in lines[5]
        stages.end(run.store, "quantize", "failed", "layer 3 has no finite loss")
        with run.store.writing() as db:
            db.execute("UPDATE artefacts SET signature = 'other'")
        pane.shown(app.live)
        await pilot.pause()
        assert "out of date" in app.screen_text and "waiting" in app.screen_text.splitlines()[4]


async def test_why_it_failed_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path, (120, 36)) as (app, pane, pilot, run):
        stages.end(run.store, "quantize", "failed", "layer 3 has no finite loss" + HOSTILE)
        pane.shown(app.live)
        await pilot.pause()
        assert f"{ELDER} failed: layer 3 has no finite loss" in app.screen_text
        assert "[red]no[/]" in app.screen_text
        assert not set("\x1b\x07\x00\u202e") & set(app.screen_text)


async def test_down_up_first_last(tmp_path: Path) -> None:
    """quantize.down, quantize.up, quantize.first, quantize.last: the grid is the chosen artefact's."""
    async with opened(tmp_path) as (app, pane, pilot, _run):
        assert "gptq-w4g64-baseline: layer by module" in app.screen_text
        assert row(app, "mlp.down_proj").rstrip().endswith("█")
        for key, cursor in (("j", 1), ("down", 2), ("j", 2), ("k", 1), ("up", 0), ("G", 2), ("g", 0)):
            await pilot.press(key)
            assert pane.cursor == cursor
        await pilot.press("j")
        await pilot.pause()
        assert f"{ELDER}: layer by module" in app.screen_text and "No layer has been quantized yet" in app.screen_text


async def test_two_artefacts_at_the_same_time(tmp_path: Path) -> None:
    async with opened(tmp_path, (200, 60)) as (app, pane, pilot, _run):
        quantize(app, 4)
        live = app.live
        live.apply(e.StageProgress("quantize", 0, 3, f"{ELDER}, {SECOND}"), NOW - 6)
        live.apply(e.ArtefactStarted(SECOND, 12, 20, 4000), NOW - 6)
        live.apply(e.LayerStarted(SECOND, 0, MODULES), NOW - 6)
        pane.draw()
        await pilot.pause()
        assert app.screen_text.count("running") == 2
        assert f"{ELDER}: 4 of 12 layers" in app.screen_text and f"{SECOND}: 0 of 12 layers" in app.screen_text
        assert "time left not known yet" in app.screen_text
        live.apply(e.LayerDone(SECOND, 0), NOW - 1)  # 5 s a layer, the slower one
        pane.draw()
        await pilot.pause()
        assert (
            live.seconds_left(NOW) == pytest.approx(54) and "0:54 left, 1 more artefact after them" in app.screen_text
        )
        with pytest.raises(UsageError, match=ELDER):
            pane._refuse_if_made(0)
        with pytest.raises(UsageError, match=SECOND):
            pane._refuse_if_made(1)
        # The first one fails: the stage no longer names it.
        live.apply(e.StageProgress("quantize", 1, 3, SECOND), NOW)
        assert [artefact.name for artefact in live.running_artefacts()] == [SECOND]
        live.apply(e.ArtefactDone(SECOND, "folder", 60.0, 4.3), NOW)
        assert live.running_artefacts() == []


def test_an_old_recording_of_a_failed_artefact_shows_only_the_next_one() -> None:
    """Events from before several artefacts could be made at the same time."""
    live = LiveState()
    live.apply(e.StageStarted("quantize", 2, "artefacts"), 0.0)
    for number, name in enumerate((ELDER, SECOND)):
        live.apply(e.StageProgress("quantize", number, 2, name), 1.0)
        live.apply(e.ArtefactStarted(name, 12, 20, 4000), 2.0)
        assert [artefact.name for artefact in live.running_artefacts()] == [name]
    live.apply(e.StageFailed("quantize", "broken", 1), 3.0)
    live.apply(e.StageStarted("quantize", 1, "artefacts"), 4.0)
    assert live.running_artefact() is None


def test_the_machines_of_a_cluster_and_what_they_make() -> None:
    live = LiveState()
    live.apply(e.StageStarted("quantize", 3, "artefacts"), 0.0)
    assert machines(live) == []
    live.apply(e.ClusterNodes(("box1 (8 GPU, 64 CPU)", "box2 (8 GPU, 64 CPU)")), 1.0)
    live.apply(e.StageProgress("quantize", 0, 3, f"{ELDER}, {SECOND}"), 1.0)
    for name, node in ((ELDER, "box1"), (SECOND, "box2")):
        live.apply(e.UnitStarted(f"quantize/{name}", node, 1), 2.0)
        live.apply(e.ArtefactStarted(name, 12, 20, 4000), 2.0)
    assert machines(live) == ["2 machines in the cluster", f"box1: {ELDER}", f"box2: {SECOND}"]
    live.apply(e.ClusterNodes(("box2 (8 GPU, 64 CPU)",)), 3.0)  # box1 is lost
    live.apply(e.UnitStarted(f"quantize/{ELDER}", "box2", 2), 3.0)
    live.apply(e.ArtefactStarted(ELDER, 12, 20, 4000), 4.0)
    assert machines(live) == ["1 machine in the cluster", f"box2: {SECOND}, {ELDER}"]
    assert machines(live)[0] in figures(live, [], 5.0)


def test_what_makes_artefacts_that_are_out_of_date() -> None:
    live, queue = (
        LiveState(),
        [Queued(0, Recipe(method="gptq", bits=4, group_size=128), "baseline", ELDER, "stale", None)],
    )
    assert figures(live, queue, 1.0)[-1] == "1 out of date; press r to quantize them again"
    live.stages = ("quantize", "evaluate")
    assert figures(live, queue, 1.0)[-1] == "1 out of date", "a job is running, so r does not start one"


async def test_running(tmp_path: Path) -> None:
    """quantize.running: it is shown by itself, left by moving, and found again by the key."""
    async with opened(tmp_path) as (app, pane, pilot, _run):
        quantize(app, 4)
        await pilot.pause()
        assert pane.cursor == 1 and "▸ running" in app.screen_text and "4 of 12 layers" in app.screen_text
        await pilot.press("k")
        quantize(app, 5)
        assert pane.cursor == 0
        await pilot.press("a")
        assert pane.cursor == 1 and pane.following


async def test_the_grid_fills_as_it_goes(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _pane, pilot, _run):
        quantize(app, 4)
        await pilot.pause()
        cells = row(app, "mlp.up_proj").split()[1:]
        assert len(cells) == 12
        assert cells[2] == "×" and cells[4] == "○" and set(cells[5:]) == {"·"}
        assert cells[0][0] < cells[1][0] < cells[3][0], "the ramp grows with the loss"
        assert row(app, "self_attn.q_proj").split()[5][0] in "▁▂▃▄▅▆▇█", "the half layer's modules are there"
        text = " ".join(app.screen_text.split())
        for words in (
            "4 of 12 layers",
            "2.0 s a layer",
            "0:15 left, 1 more artefact after it",
            "× rounded",
            "· waiting",
        ):
            assert words in text, (words, text)


async def test_view(tmp_path: Path) -> None:
    """quantize.view: grid, curve and log take turns at 80x24, and stand together where there is room."""
    async with opened(tmp_path) as (app, pane, pilot, _run):
        seen = []
        for _ in range(4):
            await pilot.pause(0.05)
            text = app.screen_text
            seen.append(
                ("layer by module" in text, "largest loss of each layer" in text, "line 39 of the log" in text)
            )
            await pilot.press("v")
        assert seen == [(True, False, False), (False, True, False), (False, False, True), (True, False, False)]
        pane.view = "curve"
        pane._arrange()
        await pilot.pause()
        pane.draw()
        await pilot.pause()
        assert "1e-5┤" in app.screen_text
    async with opened(tmp_path / "wide", (120, 36)) as (app, _pane, pilot, _run):
        await pilot.pause()
        assert "layer by module" in app.screen_text and "1e-5┤" in app.screen_text
        assert "line 39 of the log" in app.screen_text


@pytest.mark.slow
async def test_add(tmp_path: Path) -> None:
    """quantize.add: the form writes a recipe that the schema takes, and keeps the file's comments."""
    async with opened(tmp_path) as (app, pane, pilot, run):
        await pilot.press("n")
        assert isinstance(app.screen, RecipeScreen)
        from textual.widgets import Select

        app.screen.query_one("#group_size", Select).value = 128
        await pilot.press("ctrl+s")
        await pilot.pause()
        file = run.folder / "faq.toml"
        recipes = load_settings(file).recipes
        assert [(r.bits, r.group_size, r.sets) for r in recipes][2] == (4, 128, ("baseline", "elder"))
        assert "# four are enough" in file.read_text() and "# the one we ship" in file.read_text()
        assert len(pane.queue) == 5 and "3: gptq 4 bits, groups of 128" in app.screen_text
        await pilot.press("n")
        assert "yes baseline" in app.screen_text and "no  elder-tokens" in app.screen_text
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert len(load_settings(file).recipes) == 3, "the same once more is refused"
        assert any("two recipes would both write" in n.message for n in app._notifications)
        await pilot.press("n", "tab", "tab", "tab", "enter")
        assert "no  baseline" in app.screen_text
        await pilot.press("down", "enter", "ctrl+s")
        assert isinstance(app.screen, RecipeScreen), "no set at all is no recipe"
        await pilot.press("escape", "n", "escape")
        assert not isinstance(app.screen, RecipeScreen) and len(load_settings(file).recipes) == 3


async def test_remove(tmp_path: Path) -> None:
    """quantize.remove: after a question, and never the last recipe."""
    async with opened(tmp_path) as (app, pane, pilot, run):
        file = run.folder / "faq.toml"
        before = file.read_text()
        await pilot.press("d", "escape")
        assert file.read_text() == before
        await pilot.press("d")
        assert "Remove recipe 1 (gptq 4 bits, groups of 64) from faq.toml?" in app.screen_text
        await pilot.press("d")
        await pilot.pause()
        assert [r.bits for r in load_settings(file).recipes] == [8] and len(pane.queue) == 1
        await pilot.press("d", "d")
        await pilot.pause()
        assert len(load_settings(file).recipes) == 1
        assert any("the only recipe cannot be removed" in n.message for n in app._notifications)


async def test_move_up_move_down(tmp_path: Path) -> None:
    """quantize.move_up, quantize.move_down."""
    async with opened(tmp_path) as (_app, pane, pilot, run):
        file = run.folder / "faq.toml"
        for key, bits in (("J", [8, 4]), ("J", [8, 4]), ("K", [4, 8]), ("K", [4, 8])):
            await pilot.press(key)
            await pilot.pause()
            assert [r.bits for r in load_settings(file).recipes] == bits
            assert pane.current and pane.current.recipe.bits == 4, "the chosen recipe stays chosen"
        assert "# four are enough" in file.read_text()


async def test_a_recipe_in_the_making_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pane, pilot, run):
        quantize(app, 2)
        before = (run.folder / "faq.toml").read_text()
        from faq_tui.core.base.errors import UsageError

        for act in (pane.action_remove, pane.action_move_down):
            with pytest.raises(UsageError, match=r"is quantizing .* with this recipe"):
                act()
        await pilot.press("G", "K")
        await pilot.pause()
        assert [r.bits for r in load_settings(run.folder / "faq.toml").recipes] == [8, 4], "others may move"
        assert before != (run.folder / "faq.toml").read_text()


async def test_stop(tmp_path: Path) -> None:
    """quantize.stop: asks, and says what becomes of the artefact."""
    async with opened(tmp_path, (120, 36)) as (app, _pane, pilot, _run):
        await pilot.press("S")
        assert app.stopped == 0 and any("Nothing is being quantized" in n.message for n in app._notifications)
        quantize(app, 3)
        await pilot.press("S")
        await pilot.pause()
        assert app.stopped == 1
        assert any("starts over from its first layer" in n.message for n in app._notifications)


async def test_hostile_log_and_module_names(tmp_path: Path) -> None:
    async with opened(tmp_path, (120, 36)) as (app, pane, pilot, run):
        run.log("20260101-000000-abcd").write_bytes(
            (HOSTILE + "\n").encode("utf-8") + b"x" * 1_000_000 + b"\nold\rnew " + HOSTILE.encode() + b"\n"
        )
        app.live.apply(e.StageStarted("quantize", 1, "artefacts"), NOW)
        app.live.apply(e.ArtefactStarted(ELDER, 2, 1, 1), NOW)
        app.hear(e.ModuleQuantized(ELDER, 0, HOSTILE, 1e-3, 1.0))
        pane.shown(app.live)
        await pilot.pause()
        text = app.screen_text
        assert "new [red]no[/]" in text and "old" not in text
        assert not set("\x1b\x07\x00\u202e") & set(text)


async def test_colours_are_no_more_than_help(tmp_path: Path) -> None:
    """With 16 colours only the terminal's own ones are used; without colours the ramp says the same."""
    from faq_tui.tui.panes.quantize.loss_grid import HOT, HOT_16, RAMP, LossGrid

    assert len(RAMP) == len(HOT) == len(HOT_16) == len(set(RAMP))
    async with opened(tmp_path) as (_app, pane, pilot, _run):
        grid = pane.query_one(LossGrid)
        for few, allowed in ((True, set(HOT_16)), (False, set(HOT))):
            grid.few_colours = few
            await pilot.pause()
            used = {str(span.style) for span in grid.render().spans if str(span.style) not in ("dim", "bold", "")}
            assert used and used <= allowed


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_snapshot(tmp_path: Path, snap_compare: Any, size: tuple[int, int]) -> None:
    with bare_run(tmp_path / "run", count=3) as run:
        app = PaneHost(QuantizePane(quantized_run(run)))

        async def before(pilot: Pilot[None]) -> None:
            quantize(app, 7)
            app.pane.shown(app.live)
            await pilot.pause(0.2)
            app.pane.shown(app.live)
            await pilot.pause()

        assert snap_compare(app, terminal_size=size, run_before=before)
