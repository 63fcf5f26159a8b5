"""The pane Regenerate: its keys, its figures, text that grows, and text that means harm."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from faq_tui.core.endpoints.capabilities import Capabilities
from faq_tui.core.run import events as e
from faq_tui.core.run.run import Run
from faq_tui.core.store import seeds, server_capabilities
from faq_tui.tui.live import LiveState
from faq_tui.tui.panes.regenerate.pane import RegeneratePane
from faq_tui.tui.selection import selected_seed
from tests.support.pane_host import NOW, PaneHost
from tests.support.pane_runs import answer, bare_run, seed_ids

SIZES = [(80, 24), (120, 36), (200, 60)]
HOSTILE = "[red]no[/] \x1b]52;c;aGk=\x07 \x1b[2J \u202eright to left\u202c nul\x00 end"


@asynccontextmanager
async def opened(
    run: Run, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[PaneHost, RegeneratePane, Pilot[None]]]:
    pane = RegeneratePane(run)
    app = PaneHost(pane)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pane, pilot


def begin(app: PaneHost, total: int = 90, already: int = 0) -> None:
    app.hear(e.StageStarted("regenerate", total, "candidates", already))


def fill(run: Run) -> list[str]:
    """Of 30 seeds: one done, one with a truncated candidate, one with two of three; the others wait."""
    ids = seed_ids(run)
    for number in (1, 2, 3):
        answer(run, ids[0], number)
        answer(run, ids[1], number, flags=("truncated",) if number == 2 else ())
    for number in (1, 2):
        answer(run, ids[2], number)
    return ids


@pytest.mark.slow
async def test_next_seed_previous_seed_first_seed_last_seed(tmp_path: Path) -> None:
    """regenerate.next_seed, regenerate.previous_seed, regenerate.first_seed, regenerate.last_seed."""
    with bare_run(tmp_path / "run") as run:
        ids = fill(run)
        async with opened(run) as (app, pane, pilot):
            for keys, row in (
                (("j", "down"), 2),
                (("k",), 1),
                (("G",), 29),
                (("k", "up"), 27),
                (("g",), 0),
                (("k",), 0),
            ):
                await pilot.press(*keys)
                assert pane.page.current and pane.page.current.seed_id == ids[row]
                assert f"▸ {'waiting' if row > 2 else ''}" in app.screen_text
                assert f"Question number {row}?" in app.screen_text
            await pilot.press(*["j"] * 29, "j")
            assert pane.page.current and pane.page.current.seed_id == ids[29], (
                "moves through more than fits on the screen, and stops"
            )


async def test_the_queue_says_how_every_seed_stands(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        ids = fill(run)
        async with opened(run, (200, 60)) as (app, _pane, pilot):
            begin(app)
            app.hear(e.CandidateStarted(ids[3], "elder", 1), e.CandidateFailed(ids[4], "elder", 1, "HTTP 500"))
            app.now += 1
            app.hear(e.CandidateStarted(ids[5], "elder", 1))
            await pilot.pause()
            lines = app.screen_text.splitlines()
            for row, words in enumerate(
                ("done 3/3", "1 unusable", "waiting 2/3", "writing 0/3", "1 failed", "writing 0/3", "waiting ")
            ):
                assert any(words in line and f"Question number {row}" in line[:50] for line in lines), (
                    words,
                    app.screen_text,
                )


async def test_next_candidate_previous_candidate(tmp_path: Path) -> None:
    """regenerate.next_candidate, regenerate.previous_candidate."""
    with bare_run(tmp_path / "run") as run:
        fill(run)
        async with opened(run) as (_app, pane, pilot):
            copied = []
            for key in ("l", "right", "l", "h", "left", "h"):
                await pilot.press(key)
                copied.append((pane.text_to_copy() or "").rpartition("Answer ")[2])
            assert copied == [f"{n} of elder." for n in (2, 3, 3, 2, 1, 1)]
            assert pane.query(".candidate.-chosen").first().key[2] == 1  # type: ignore[attr-defined]


async def test_the_chosen_candidate_is_marked_without_colour(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        ids = seed_ids(run)
        for number in (1, 2):
            answer(run, ids[0], number)
        async with opened(run) as (app, _pane, pilot):
            assert "▸1 " in app.screen_text and "▸2 " not in app.screen_text
            await pilot.press("l")
            await pilot.pause()
            assert "▸2 " in app.screen_text and "▸1 " not in app.screen_text


async def test_the_seed_is_that_of_the_other_panes(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        ids = seed_ids(run)
        async with opened(run) as (app, pane, pilot):
            app.selected_seed = ids[20]  # type: ignore[attr-defined]
            pane.shown(app.live)
            assert pane.page.current is not None and pane.page.current.seed_id == ids[20]
            await pilot.press("k")
            assert selected_seed(app) == ids[19]


async def test_page_down_page_up(tmp_path: Path) -> None:
    """regenerate.page_down, regenerate.page_up."""
    with bare_run(tmp_path / "run") as run:
        answer(run, seed_ids(run)[0], 1, text="\n".join(f"line {n}" for n in range(100)))
        async with opened(run) as (app, pane, pilot):
            flow = pane.views[0].flow
            assert "Reasoning 1" in app.screen_text
            await pilot.press("ctrl+d", "pagedown")
            assert flow.top == 2 * (flow.size.height - 1)
            assert "Reasoning 1" not in app.screen_text
            await pilot.press("ctrl+u", "pageup", "ctrl+u")
            assert flow.top == 0


async def test_zoom(tmp_path: Path) -> None:
    """regenerate.zoom."""
    with bare_run(tmp_path / "run") as run:
        fill(run)
        async with opened(run) as (app, _pane, pilot):
            await pilot.press("l", "z")
            await pilot.pause()
            assert "Answer 2 of elder." in app.screen_text
            assert "Answer 1 of elder." not in app.screen_text and "Question number 1" not in app.screen_text
            await pilot.press("enter")
            await pilot.pause()
            assert "Answer 1 of elder." in app.screen_text and "Question number 1" in app.screen_text


async def test_source(tmp_path: Path) -> None:
    """regenerate.source: its candidates, its number of them, its totals."""
    with bare_run(tmp_path / "run") as run:
        ids = fill(run)
        answer(run, ids[0], 1, source="teacher")
        async with opened(run) as (app, pane, pilot):
            await pilot.press("s")
            await pilot.pause(0.2)
            assert "source teacher (2 of 2)" in app.screen_text
            assert "Answer 1 of teacher." in app.screen_text and "of elder." not in app.screen_text
            assert sum(view.display for view in pane.views) == 2
            assert "1 of 60 candidates" in app.screen_text
            await pilot.press("s")
            assert "source elder (1 of 2)" in app.screen_text


async def test_a_lower_number_of_candidates(tmp_path: Path) -> None:
    """No count is above the setting, and the selection moves to a candidate that the setting still asks for."""
    with bare_run(tmp_path / "run", count=1) as run:
        for number in (1, 2, 3):
            answer(run, seed_ids(run)[0], number)
        elder = run.settings.sources["elder"].model_copy(update={"candidates": 2})
        fewer = run.settings.model_copy(update={"sources": {"elder": elder}})
        async with opened(run) as (app, pane, pilot):
            await pilot.press("l", "l")
            assert "done 3/3" in app.screen_text and pane.number == 3
            pane.use_run(replace(run, settings=fewer))
            pane.shown(app.live)
            await pilot.pause(0.2)
            assert "done 2/2" in app.screen_text and "2 of 2 candidates" in app.screen_text
            assert "200 tokens" in app.screen_text and pane.number == 2


async def test_retry(tmp_path: Path) -> None:
    """regenerate.retry."""
    with bare_run(tmp_path / "run") as run:
        async with opened(run) as (app, _pane, pilot):
            await pilot.press("R")
            await pilot.pause()
            assert [(message.only, message.until) for message in app.started] == [("regenerate", None)]


async def test_follow(tmp_path: Path) -> None:
    """regenerate.follow: stays while its candidate speaks, jumps when it is finished or silent, ends by moving."""
    with bare_run(tmp_path / "run") as run:
        ids = seed_ids(run)
        async with opened(run) as (app, pane, pilot):
            begin(app)
            await pilot.press("a")
            app.hear(e.CandidateDelta(ids[20], "elder", 2, "thinking ", ""))
            await pilot.pause()
            assert pane.page.current and pane.page.current.seed_id == ids[20] and pane.number == 2
            assert "thinking" in app.screen_text and "following" in app.screen_text
            app.now += 1
            app.hear(
                e.CandidateDelta(ids[20], "elder", 2, "more ", ""), e.CandidateDelta(ids[7], "teacher", 1, "x", "")
            )
            assert pane.page.current.seed_id == ids[20], "it still speaks"
            app.now += 3
            app.hear(e.CandidateDelta(ids[7], "teacher", 1, "y", ""))
            assert pane.page.current.seed_id == ids[7] and pane.source == "teacher", "it fell silent"
            await pilot.press("j")
            app.now += 5
            app.hear(e.CandidateDelta(ids[20], "elder", 2, "z", ""))
            assert pane.page.current.seed_id == ids[8] and not pane.following
            assert "following" not in app.screen_text


async def test_a_candidate_grows_is_retried_and_finishes(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        ids = seed_ids(run)
        async with opened(run) as (app, pane, pilot):
            begin(app)
            app.hear(e.CandidateStarted(ids[0], "elder", 1))
            await pilot.pause()
            assert "waiting for the first token" in app.screen_text
            for n in range(30):
                app.hear(e.CandidateDelta(ids[0], "elder", 1, f"step {n} ", ""))
            await pilot.pause()
            assert "step 29" in app.screen_text and "step 0 " not in app.screen_text, "the tail is what is seen"
            assert "writing its reasoning" in app.screen_text
            app.hear(
                e.CandidateDelta(ids[0], "elder", 1, "", "It is 4"), e.CandidateDelta(ids[0], "elder", 1, "", "2.")
            )
            await pilot.pause()
            assert "It is 42." in app.screen_text and "writing its answer" in app.screen_text
            styles = {line.text: line.style for line in pane.views[0].flow._flow.lines}
            assert styles["It is 42."] == "" and set(styles.values()) == {"dim", "bold", ""}
            app.hear(e.CandidateRetried(ids[0], "elder", 1, 1, 8.0, "HTTP 503"))
            await pilot.pause()
            assert "next try in 8 s: HTTP 503" in app.screen_text and "It is 42." not in app.screen_text
            app.hear(e.CandidateStarted(ids[0], "elder", 1), e.CandidateDelta(ids[0], "elder", 1, "again", ""))
            await pilot.pause()
            assert "writing its reasoning · try 2" in app.screen_text
            stored = answer(run, ids[0], 1, text="From the database.")
            app.hear(e.CandidateDone(ids[0], "elder", 1, stored, 100, 12.0, ()))
            await pilot.pause()
            assert "From the database." in app.screen_text and "100 tokens · 12 s" in app.screen_text
            assert "100 tokens · 12 s · retried: HTTP 503" in app.screen_text
            assert "Tried again because: HTTP 503" in pane.views[0].flow.text()


async def test_a_candidate_of_a_batch_file_has_no_time(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        for number in (1, 2):
            answer(run, seed_ids(run)[0], number)
        with run.store.writing() as db:
            db.execute("UPDATE candidates SET seconds = 0 WHERE number = 1")
        async with opened(run, (200, 60)) as (app, _, _):
            assert app.screen_text.count("100 tokens") == 2 and "100 tokens · 12 s" in app.screen_text
            assert " 0 s" not in app.screen_text


async def test_figures(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        ids = seed_ids(run)
        async with opened(run) as (app, _pane, pilot):
            begin(app, total=80, already=10)
            for n in range(100):  # 10 s of 2 candidates, 40 characters a second each
                app.live.apply(e.CandidateDelta(ids[n % 2], "elder", 1, "x" * 8, ""), NOW + n / 10)
            app.now = NOW + 10
            app.hear(e.CandidateDone(ids[0], "elder", 1, 1, 100, 10.0, ("truncated",)))
            reasons = (f"looping; requested again with the sampling seed {seed}" for seed in (1, 2))
            retried = [e.CandidateRetried(ids[2], "elder", n, 1, 5, why) for n, why in enumerate(reasons, 1)]
            app.hear(e.StageProgress("regenerate", 1, 80), *retried)
            app.hear(e.CandidateFailed(ids[3], "elder", 1, "HTTP 400"))
            await pilot.pause()
            text = " ".join(app.screen_text.split())
            for words in (
                "11 of 90 candidates", "20 tokens/s", "3 in flight", "1 unusable", "2 retried", "1 failed",
                "retried: 2 looping",
            ):  # fmt: skip
                assert words in text, (words, text)
            assert app.live.seconds_left(app.now) is None
            app.now += 10
            app.hear(e.StageProgress("regenerate", 2, 80))
            assert app.live.seconds_left(app.now) == 780, "as many are done as were generated at the same time"
            app.now += 60
            app.hear(e.StageProgress("regenerate", 2, 80))
            await pilot.pause()
            assert "· 0 tokens/s" in app.screen_text, "silence is said, not the last good figure"


async def test_parameters_that_the_server_refuses_are_shown(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        source = run.settings.sources["elder"]
        facts = Capabilities(left_out=("top_k", "min_p")).to_json()
        server_capabilities.put(run.store, source.base_url, source.model, facts)
        async with opened(run, (120, 36)) as (app, _pane, _pilot):
            assert "sent without top_k, min_p" in app.screen_text


async def test_without_a_job_the_totals_are_the_databases(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        fill(run)
        async with opened(run) as (app, _pane, pilot):
            await pilot.pause(0.3)
            assert "8 of 90 candidates · 800 tokens · 1 unusable" in app.screen_text


@pytest.mark.parametrize("toml", ["", "[sources.elder]\nbase_url = 'http://x/v1'\nmodel = 'M'\n"])
async def test_an_empty_run_says_what_to_do(tmp_path: Path, toml: str) -> None:
    text = f"[target]\nmodel = './target'\n[seeds]\npath = 's.jsonl'\n{toml}"
    with bare_run(tmp_path / "run", count=0, toml=text) as run:
        async with opened(run) as (app, _pane, pilot):
            await pilot.press("j", "k", "G", "g", "l", "h", "a", "s", "z", "ctrl+d")
            assert ("no source" if not toml else "No seeds loaded") in app.screen_text
            assert ("The stage seeds reads them; r starts it." in app.screen_text) is bool(toml)


async def test_hostile_text_is_inert_and_fast(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run") as run:
        ids = seed_ids(run)
        answer(run, ids[0], 1, text=HOSTILE + "y" * 1_000_000, reasoning=HOSTILE)
        async with opened(run) as (app, pane, pilot):
            begin(app)
            app.hear(e.CandidateDelta(ids[0], "elder", 2, HOSTILE, HOSTILE))
            app.hear(e.CandidateFailed(ids[0], "elder", 3, HOSTILE))
            await pilot.press("l", "h")
            assert app.screen_text.count("[red]no[/]") >= 2
            for char in "\x1b\x07\x00\u202e\u202c":
                assert char not in app.screen_text
            began = time.process_time()
            app.hear(e.CandidateDelta(ids[0], "elder", 2, "", "z" * 1_000_000))
            pane.views[0].show((ids[0], "elder", 9), pane._finished[1], None, None, NOW)
            assert time.process_time() - began < 2.0
            began = time.process_time()
            await pilot.press("ctrl+d", "ctrl+d")
            assert time.process_time() - began < 2.0


def test_live_state_is_cheap_at_64_streams() -> None:
    """64 x 100 deltas a second for 5 s: a small part of a core, and text is read without copying what was read."""
    live = LiveState()
    live.apply(e.StageStarted("regenerate", 64, "candidates"), 0.0)
    deltas = [e.CandidateDelta(f"seed{n % 64}", "elder", 1, "", " word") for n in range(32_000)]
    began = time.process_time()
    for n, delta in enumerate(deltas):
        live.apply(delta, n / 6400)
    assert time.process_time() - began < 1.0, "20 % of a core at most, on a busy machine"
    grown = live.growing["seed0", "elder", 1].answer
    assert grown.length == 500 * 5 and grown.since(grown.length - 5) == " word"
    assert round(live.regeneration.tokens_per_second(5.0)) == 6400 * 5 / 4


@pytest.mark.slow
def test_many_seeds_open_at_once(tmp_path: Path) -> None:
    from faq_tui.tui.panes.regenerate.queue import SeedPage

    with bare_run(tmp_path / "run", count=1) as run:
        with run.store.writing() as db:
            db.executemany(
                "INSERT INTO seeds (id, position, messages, origin, role)"
                " VALUES (?, ?, '[{\"content\": \"q\"}]', '', 'chosen')",
                ((f"{n:012x}", n) for n in range(1, 200_001)),
            )
        assert seeds.counts(run.store)["chosen"] == 200_001
        page = SeedPage(run.store)
        began = time.process_time()
        page.resize(50)
        page.last()
        page.up()
        assert page.go_to(f"{100_000:012x}") and page.current and page.current.position == 100_000
        assert len(page.seeds) == 50
        assert time.process_time() - began < 0.2


def scene(app: PaneHost, ids: list[str]) -> None:
    begin(app, total=80, already=10)
    app.live.apply(e.CandidateStarted(ids[2], "elder", 3), NOW - 5)
    words = ("Let", "me", "think", "about", "the", "question,", "step", "by", "step,", "before", "I", "say", "it.")
    for n in range(60):
        app.live.apply(e.CandidateDelta(ids[2], "elder", 3, words[n % len(words)] + " ", ""), NOW - 5 + n / 12)
    app.hear(e.CandidateDelta(ids[2], "elder", 3, "", "The answer is forty-two."))
    app.now += 1
    app.hear(e.CandidateFailed(ids[4], "elder", 1, "HTTP 500"), e.StageProgress("regenerate", 2, 80))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_snapshot(tmp_path: Path, snap_compare: Any, size: tuple[int, int]) -> None:
    with bare_run(tmp_path / "run") as run:
        ids = fill(run)
        app = PaneHost(RegeneratePane(run))

        async def before(pilot: Pilot[None]) -> None:
            await pilot.press("j", "j")
            scene(app, ids)
            await pilot.pause()

        assert snap_compare(app, terminal_size=size, run_before=before)
