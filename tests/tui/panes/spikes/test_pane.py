"""The pane Spikes: landscapes same scale, curves, table, files; and what it does without any data."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from textual.pilot import Pilot

from faq_tui.core.activations.files import path_of
from faq_tui.core.plots.colours import LEVELS, colour_of, hexadecimal
from faq_tui.core.run import events as e
from faq_tui.tui.live import LiveState
from faq_tui.tui.panes.spikes.pane import SpikesPane
from faq_tui.tui.panes.spikes.view_state import SpikesViewState
from tests.support.app_host import app_on, text_of, until
from tests.support.pane_host import PaneHost
from tests.support.pane_runs import bare_run
from tests.support.spikes_run import CHANNELS, LAYERS, MODULES, SETS, SPIKES, add_made_up, spiky_run

SIZES = [(80, 24), (120, 36), (200, 60)]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


async def settled(pane: SpikesPane, pilot: Pilot[Any]) -> None:
    """What was asked for last is on the screen."""
    await pilot.pause()
    await until(pilot, lambda: pane.drawn == pane.view_state and pane.view_state.width and not pane._busy.is_set())
    await pilot.pause()


@asynccontextmanager
async def opened(
    tmp_path: Path, size: tuple[int, int] = (80, 24), **made: Any
) -> AsyncIterator[tuple[PaneHost, SpikesPane, Any]]:
    with spiky_run(tmp_path / "run", **made) as run:
        pane = SpikesPane(run)
        app = PaneHost(pane)
        async with app.run_test(size=size) as pilot:
            await settled(pane, pilot)

            async def press(*keys: str) -> str:
                for key in keys:
                    await pilot.press(key)
                    await settled(pane, pilot)
                return app.screen_text

            yield app, pane, press


def colours(app: PaneHost) -> list[list[tuple[int, ...]]]:
    """The foreground of each cell: red, green and blue."""
    strips: Any = app.screen._compositor.render_strips()
    rows = []
    for strip in strips:
        row: list[tuple[int, ...]] = []
        for text, style, _ in strip:
            colour = tuple(style.color.get_truecolor()) if style and style.color else ()
            row += [colour] * len(text)
        rows.append(row)
    return rows


async def test_the_higher_peaks_are_seen(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _pane, press):
        text = await press("g")
        assert "elder makes self_attn.o_proj rougher than baseline" in text
        assert "layer 0 self_attn.o_proj: |x|, same scale; peak = above 4.8 (dashed)" in text
        assert "baseline: highest 4" in text and "▲ elder: highest 9.6" in text
        lines = text.splitlines()
        dashed = next(number for number, line in enumerate(lines) if line.count("╌") > 20)
        half = 7 + (80 - 2 - 7) // 2
        above = lines[dashed - 2 : dashed]
        assert all("█" not in line[:half] and "█" in line[half:] for line in above), (
            "only elder's bars cross the line"
        )
        pixels = [row for line, row in zip(lines, colours(app), strict=True) if line.count("▀") > 60]
        highest = colour_of(LEVELS - 1)
        assert len(pixels) > 5 and all(highest not in row[:half] and highest in row[half:] for row in pixels), (
            "only elder's map has the colour of the highest value"
        )
        legend = next(line for line in lines if "|x| 0 ▀" in line)
        assert re.search(r"\|x\| 0 ▀+ 4\.8 ▀+ 9\.6", legend)


async def test_it_opens_where_the_sets_differ_most(tmp_path: Path) -> None:
    """spikes.difference"""
    async with opened(tmp_path) as (_app, pane, press):
        assert "layer 11 self_attn" in await press(), (
            "the ratio is the same in all layers, so the highest peak decides"
        )
        places = pane.seen.sets["elder"].summary["places"]
        place = next(p for p in places if (p["layer"], p["module"]) == (4, MODULES[1]))
        place["max"] *= 3
        assert f"layer 4 {MODULES[1]}" in await press("d")
        assert "layer 5 mlp" in await press("l")
        assert "layer 5 mlp" in await press("s", "s"), "a place that a person chose stays"


async def test_layers(tmp_path: Path) -> None:
    """spikes.next_layer, spikes.previous_layer, spikes.first_layer, spikes.last_layer, spikes.highest"""
    async with opened(tmp_path) as (_app, pane, press):
        await press("g")
        for key, layer in (("l", 1), ("right", 2), ("h", 1), ("left", 0), ("left", 0), ("G", LAYERS - 1)):
            text = await press(key)
            assert pane.view_state.layer == layer and f"layer {layer} self_attn" in text
        assert "layer 0 self_attn" in await press("l", "g")
        assert f"layer {LAYERS - 1} self_attn" in await press("p")
        assert "highest 18.4" in await press()


async def test_modules(tmp_path: Path) -> None:
    """spikes.next_module, spikes.previous_module"""
    async with opened(tmp_path) as (_app, pane, press):
        assert "layer 3 mlp.down_proj" in await press("g", "l", "l", "l", "j")
        await press("down")
        assert pane.view_state.module == MODULES[1]
        assert "layer 3 self_attn.o_proj" in await press("up")
    async with opened(tmp_path / "one", modules=MODULES[:1]) as (app, _pane, press):
        await press("j")
        assert any("Only one module is measured" in n.message for n in app._notifications)


async def test_sets(tmp_path: Path) -> None:
    """spikes.left_set, spikes.right_set"""
    async with opened(tmp_path) as (app, pane, press):
        assert (pane.view_state.left, pane.view_state.right) == ("baseline", "elder")
        text = await press("s", "s")
        assert pane.view_state.right == "elder-tokens" and "elder-tokens: highest" in text
        text = await press("b", "b")
        assert pane.view_state.left == "baseline-tokens"
        assert "no consistent difference" in " ".join(text.split())
        text = await press("b")
        assert "there is no other set for a comparison" in text and text.count(": highest") == 1
        assert "\x1b" not in app.screen_text


async def test_view_and_metric(tmp_path: Path) -> None:
    """spikes.view, spikes.metric"""
    async with opened(tmp_path) as (_app, _pane, press):
        assert "max |x| of self_attn.o_proj, by layer" in await press("v")
        assert "• baseline  × elder" in await press()
        assert "crest of self_attn.o_proj, by layer" in await press("m")
        text = await press("v")
        assert "highest |x| of each channel, sorted" in text and re.search(rf"0 .* {CHANNELS - 1}", text)
        text = await press("v")
        assert re.search(r"max \|x\| +14 +5\.83 +2\.4× \[2\.4, 2\.4\] +12 of 12 +rougher", text)
        assert "20 samples, 3,420 tokens (400 template, 600 question, 1,500" in text
        assert "largest at the first token: 9.5" in text
        assert f"covers {len(SPIKES)} of this layer's {len(SPIKES)} outlier channels" in " ".join(text.split())
        text = await press("v")
        assert "relative error of each layer's output" in text and "gptq-w4g64" in text
        assert "same scale" in await press("v")
    async with opened(tmp_path / "large", (200, 60)) as (_app, _pane, press):
        text = await press()
        assert "same scale" in text and "by layer" in text and "over all layers" in text
        assert "sorted" in await press("v") and "same scale" in await press()


async def test_zoom(tmp_path: Path) -> None:
    """spikes.zoom_in, spikes.zoom_out"""
    async with opened(tmp_path) as (_app, pane, press):
        text = await press("plus", "plus")
        first, last = map(int, re.search(r"channels (\d+) to (\d+), zoom 4×", text).groups())  # type: ignore[union-attr]
        assert last - first + 1 == CHANNELS // 4 and any(first <= channel <= last for channel in SPIKES)
        await press("plus", "plus", "plus", "plus")
        assert pane.view_state.zoom == 16
        assert f"channels 0 to {CHANNELS - 1} " in await press(*["minus"] * 5)


async def test_export(tmp_path: Path) -> None:
    """spikes.export"""
    async with opened(tmp_path) as (app, pane, press):
        await press("g", "e")
        folder = pane.run.reports / "spikes"
        async with asyncio.timeout(60):
            while not any("Wrote" in n.message for n in app._notifications):
                await asyncio.sleep(0.02)
        names = sorted(path.name for path in folder.iterdir())
        stem = "layer0-self_attn.o_proj-baseline-elder"
        ends = ("-3d.png", "-3d.svg", "-channels.csv", "-layers.csv", ".png", ".svg")
        assert names == [f"{stem}{end}" for end in ends]
        lines = (folder / f"{stem}-channels.csv").read_text().splitlines()
        assert lines[0] == "channel,absmax baseline,absmax elder" and len(lines) == CHANNELS + 1
        assert lines[1 + SPIKES[0]] == f"{SPIKES[0]},4.0,9.600000381469727"
        assert len((folder / f"{stem}-layers.csv").read_text().splitlines()) == 2 * LAYERS + 1
        highest = hexadecimal(colour_of(LEVELS - 1))
        for kind in ("", "-3d"):
            root = ElementTree.fromstring((folder / f"{stem}{kind}.svg").read_text())
            texts = ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]
            assert texts[0] == "Inputs of self_attn.o_proj in layer 0: largest |x| of each token and channel"
            assert (
                "baseline: highest |x| 4, 3,420 tokens" in texts and "elder: highest |x| 9.6, 3,420 tokens" in texts
            )
            assert {"channel", "|x|", "9.6", "4.8", "511", "3419"} <= set(texts), "both axes and the legend"
            png = (folder / f"{stem}{kind}.png").read_bytes()
            size = int(root.get("width") or 0), int(root.get("height") or 0)
            assert png.startswith(b"\x89PNG") and struct.unpack(">II", png[16:24]) == (2 * size[0], 2 * size[1])
        root = ElementTree.fromstring((folder / f"{stem}.svg").read_text())
        paths = [node.get("d") or "" for node in root.iter(f"{SVG}path") if node.get("fill") == highest]
        boxes = "".join(paths).count("M") - 1  # one is the legend's
        assert boxes == 2 * len(range(0, 128, 7)), "of elder alone; two are neighbours"


async def test_copy_and_files_that_are_gone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_app, pane, press):
        copied = pane.text_to_copy()
        assert copied is not None and "\ncrest\t" in copied and copied.startswith("elder makes")
        for name in pane.seen.sets:
            path_of(pane.run, name).write_bytes(b"no safetensors")
        assert "are missing. The stage activations makes them again" in await press("l")


async def test_nothing_yet_then_a_set_is_ready(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run", count=3) as run:
        pane = SpikesPane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert "No activations yet" in app.screen_text and pane.text_to_copy() is None
            for key in ("l", "G", "p", "j", "b", "s", "v", "m", "plus", "e"):
                await pilot.press(key)
            add_made_up(run, "baseline", 1.0)
            app.hear(e.StageStarted("activations", 900, "tokens"), e.ActivationsReady("baseline", 20, 900))
            await until(pilot, lambda: "baseline: highest" in app.screen_text)
            assert pane.drawn == pane.view_state and "there is no other set" in app.screen_text


async def test_without_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks are told by the dashed line and by full blocks."""
    monkeypatch.setenv("NO_COLOR", "1")
    with spiky_run(tmp_path / "run"):
        pass
    app = app_on(tmp_path / "run")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "▲ elder: highest" in text_of(app))
        assert "╌╌╌╌" in text_of(app) and "█" in text_of(app)
        assert app.ansi_color, "the terminal's own colours, which NO_COLOR lets it drop"


async def test_few_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 16 colours the map is drawn in shades."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)
    async with opened(tmp_path) as (_app, pane, press):
        assert not pane.view_state.colours
        lines = (await press("g")).splitlines()
        assert not any("▀" in line for line in lines)
        dashed = next(number for number, line in enumerate(lines) if line.count("╌") > 20)
        half = 7 + (80 - 2 - 7) // 2
        assert all("█" not in line[7:half] and "█" in line[half:] for line in lines[dashed + 5 : dashed + 9])
        assert re.search(r"\|x\| 0  *·+░+▒+▓+ 4\.8 █+ 9\.6", lines[-3])


@pytest.mark.parametrize("size", [(40, 10), (30, 8), (60, 12)])
async def test_a_small_screen_has_a_map(tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(tmp_path, size) as (app, _pane, _press):
        lines = app.screen_text.splitlines()
        assert sum(line.count("▀") > size[0] * 0.8 for line in lines) >= size[1] - 8
        assert all(len(line) <= size[0] for line in lines)
        if size[1] > 9:
            assert any("elder" in line and "18.4" in line for line in lines)
            assert any("layer 11" in line and "▀ 18.4" in line for line in lines), "the legend"


@pytest.mark.parametrize(("first", "second"), [("baseline", "elder"), ("elder", "baseline")])
async def test_the_pair_follows_the_sets_that_are_ready(tmp_path: Path, first: str, second: str) -> None:
    """The pane that was open while only one set was measured compares both as soon as the second is measured."""
    with spiky_run(tmp_path / "run", sets={first: SETS[first]}) as run:
        pane = SpikesPane(run)
        app = PaneHost(pane)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pane, pilot)
            assert "there is no other set" in app.screen_text
            add_made_up(run, second, SETS[second])
            app.hear(e.StageStarted("activations", 900, "tokens"), e.ActivationsReady(second, 20, 900))
            await until(pilot, lambda: "▲ elder: highest" in app.screen_text)
            assert "baseline: highest" in app.screen_text


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_snapshot(tmp_path: Path, snap_compare: Any, size: tuple[int, int], theme: str) -> None:
    with spiky_run(tmp_path / "run") as run:
        pane = SpikesPane(run)
        app = PaneHost(pane)

        async def before(pilot: Pilot[Any]) -> None:
            app.theme = theme
            await settled(pane, pilot)

        assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize(
    "action", ["left_set", "right_set", "next_layer", "highest", "difference", "next_module", "metric", "view"]
)
async def test_a_key_before_the_first_drawing(tmp_path: Path, action: str) -> None:
    """The stage `activations` ends while the pane is open, and a key comes before the pane is drawn again."""
    async with opened(tmp_path) as (_app, pane, _press):
        pane.view_state = SpikesViewState()
        pane.shown(LiveState())
        getattr(pane, f"action_{action}")()
        assert set(pane.view_state.names) <= set(SETS) and pane.view_state.module in MODULES
