"""Review mode of the pane Judge: one key a seed, the queue, differences, and many picks accepted at once."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from faq_tui.core.run.run import open_run
from faq_tui.core.source_views import views_of
from faq_tui.core.store import judged, picks
from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.panes.judge.diff_view import DiffSide
from faq_tui.tui.panes.judge.review_list import ReviewList
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import app_on, said, text_of, until
from tests.support.judged_run import make_review_run, seed_ids
from tests.support.shell import rows
from tests.tui.panes.judge.test_pane import Judge, opened

ME = getpass.getuser()
PERSON = "SELECT seed_id, action, reason FROM picks WHERE picked_by = 'person' ORDER BY id"


@pytest.mark.slow
async def test_a_hundred_seeds_are_reviewed_with_at_most_110_keys(tmp_path: Path) -> None:
    """judge.accept: enter, a digit and 0 are one key a seed; two mistakes are taken back."""
    folder = make_review_run(tmp_path / "run", 103, unusable=3)
    keys = 0
    async with opened(folder, (120, 36), seeds=103) as judge:

        async def press(*names: str) -> None:
            nonlocal keys
            keys += len(names)
            await judge.press(*names)

        await judge.sees("0 of 100 reviewed")
        await press("enter")
        await judge.sees("seed 2 of 103", "1 of 100 reviewed")
        await press("3")
        await judge.sees("seed 3 of 103", "2 of 100 reviewed")
        await press("0")
        await judge.sees("seed 4 of 103", "3 of 100 reviewed")
        await press("u")
        await judge.sees("seed 3 of 103", "2 of 100 reviewed")
        for number in range(98):
            await press("enter" if number % 3 else "2")
        await judge.sees("100 of 100 reviewed", "seed 100 of 103")
        assert "all seeds are reviewed; 100 decisions of a person are stored" in said(judge.app)
    assert keys <= 110
    with open_run(folder) as run:
        found = judged.standings(run.store, views_of(run)[0])
        ids = seed_ids(folder)
        decided = {one.seed_id: one.override for one in found if one.override is not None}
        assert list(decided) == ids[:100], "the three seeds without a usable answer need no key"
        assert all(pick.candidate_id is not None for pick in decided.values())


async def test_a_decision_goes_on_and_a_keeps_it_on_the_seed(tmp_path: Path) -> None:
    """judge.go_on"""
    folder = make_review_run(tmp_path / "run", 4)
    async with opened(folder) as judge:
        await judge.press("n", "1")
        await judge.sees("seed 3 of 4")
        await judge.press("2", "3")  # the search for an open seed continues at the first seed
        await judge.sees("seed 1 of 4", "3 of 4 reviewed")
        await judge.press("a", "2")
        await judge.sees("seed 1 of 4", f"candidate 2, by {ME}", "4 of 4 reviewed")
        assert "after a decision, the pane stays" in said(judge.app)


async def test_every_candidate_has_its_digit_and_panes_have_function_keys(tmp_path: Path) -> None:
    """judge.pick_4 judge.pick_5 judge.pick_6 judge.pick_7 judge.pick_8 judge.pick_9"""
    folder = make_review_run(tmp_path / "run", 7, candidates_=9)
    async with opened(folder, seeds=7) as judge:
        await judge.sees("1 2 3 4 5 6 7 8 9 Pick")
        await judge.press("4", "5", "6", "7", "8", "9")
        await judge.sees("seed 7 of 7", "6 of 7 reviewed")
        assert judge.app.pane.SPEC.scope == "judge"
        assert [row[2] for row in judge.overrides()] == [4, 5, 6, 7, 8, 9]
        await judge.sees("f1-f6 [ ]")
        for number, scope in enumerate(judge.app.panes, 1):
            await judge.press(f"f{number}")
            assert judge.app.pane.SPEC.scope == scope


async def test_a_digit_without_a_candidate_changes_neither_pane_nor_pick(tmp_path: Path) -> None:
    folder = make_review_run(tmp_path / "run", 2)
    async with opened(folder, seeds=2) as judge:
        await judge.sees("1 2 3 Pick")
        await judge.press("4")
        await judge.sees("seed 1 of 2")
        told = next(sentence for sentence in said(judge.app) if "has no candidate 4" in sentence)
        assert told.endswith(
            "In this pane, the digits pick candidates; the line of tabs names the keys that show the panes."
        )
        await judge.sees("f1-f6 [ ]")
        assert judge.overrides() == [] and judge.app.pane.SPEC.scope == "judge"


async def test_accept_says_why_there_is_nothing_to_accept(tmp_path: Path) -> None:
    folder = make_review_run(tmp_path / "run", 2, unusable=1)
    async with opened(folder, seeds=2) as judge:
        await judge.press("b", "enter")
        await judge.sees("0 of 1 reviewed")
        await judge.press("b", "n", "enter")
        await judge.sees("seed 2 of 2")
        assert judge.overrides() == []
        told = said(judge.app)
        assert any("the judge's pick is hidden" in sentence for sentence in told)
        assert any("the judge found no usable answer" in sentence for sentence in told)


async def test_compare_marks_the_words_that_differ(tmp_path: Path) -> None:
    """judge.compare"""
    folder = make_review_run(tmp_path / "run", 3)
    async with opened(folder, seeds=3) as judge:
        await judge.press("n", "d")  # the judge picked candidate 2
        await judge.sees("2 6.5 of 10 picked by judge 3 5 of 10", "reasoning, 12 different words")
        left, right = (side.query_one(".words", LiteralText).render() for side in judge.app.query(DiffSide))
        assert "To square 2, way 2 counts" in str(left) and "To square 2, way 3 counts" in str(right)
        await judge.press("l")
        await judge.sees("2 6.5 of 10 picked by judge 1 5 of 10")
        await judge.press("j")
        await until(judge.pilot, lambda: all(box.scroll_y == 1 for box in judge.app.query("DiffSide VerticalScroll")))
        await judge.press("3")
        await judge.sees("seed 3 of 3", "reasoning, 12 different words")
        assert [row[2] for row in judge.overrides()] == [3]
        await judge.press("d")
        await judge.misses("different words")


async def test_clear_picks_are_accepted_together_and_taken_back_together(tmp_path: Path) -> None:
    """judge.accept_clear"""
    folder = make_review_run(tmp_path / "run", 12, unusable=1)
    ids = seed_ids(folder)
    async with opened(folder, seeds=12) as judge:
        await judge.press("3", "A")
        # Leads of 1.5, 2.5, 3.5, 0.5 …: the close margin of this judge is 1.
        await judge.sees("Enter accepts 8 of 10 open picks. 2 stay for your review.")
        await judge.press("ctrl+u", *"many")
        await judge.sees("Enter a number that is not negative")
        await judge.press("enter", "ctrl+u", *"2", "enter")
        await judge.sees("6 of 11 reviewed", "seed 2 of 12")
        assert any(
            "accepted 5 picks of the judge with a margin over 2; u takes them back" in s for s in said(judge.app)
        )
        stored = rows(folder, PERSON)
        assert stored[1:] == [(ids[n], "pick", "margin over 2") for n in (2, 3, 6, 7, 10)]
        await judge.press("u")
        await judge.sees("1 of 11 reviewed", "seed 3 of 12")
        assert "Undone. Now 5 seeds use the judge's pick again." in said(judge.app)
        await judge.press("u")
        await judge.sees("0 of 11 reviewed", "seed 1 of 12")
        await judge.press("A", "ctrl+u", *"99", "enter")
        await judge.sees("0 of 11 reviewed")
        assert "no open seed has a pick with this margin: nothing was changed" in said(judge.app)
    with open_run(folder) as run:
        assert picks.overrides(run.store, "elder") == {}


async def test_the_list_of_seeds_is_shown_where_there_is_room(tmp_path: Path) -> None:
    folder = make_review_run(tmp_path / "run", 5, unusable=1)
    async with opened(folder, (200, 60), seeds=5) as judge:
        await judge.sees("▸ · Question 1", "- Question 5")
        await judge.press("1", "1", "0")  # the judge picked candidates 1, 2 and 3
        await judge.sees("✓ Question 1", "≠ Question 2", "✗ Question 3", "▸ · Question 4")
        await judge.press("b")
        await judge.sees("✓ Question 1", "✓ Question 2")
        await judge.pilot.click(ReviewList, offset=(5, 0))
        await judge.sees("seed 1 of 5")
    async with opened(folder, (120, 36), seeds=5) as judge:
        assert not judge.app.query_one(ReviewList).display


async def _picks_take(judge: Judge, count: int) -> list[float]:
    """Seconds of processor time that each of `count` picks takes, until the next seed is on the screen."""
    times = []
    for _ in range(count):
        began = time.process_time()
        await judge.app.run_action("accept", judge.app.pane)
        times.append(time.process_time() - began)
        await judge.pilot.pause()
    return times


@pytest.mark.slow
async def test_a_pick_takes_at_most_50_ms(tmp_path: Path) -> None:
    folder = make_review_run(tmp_path / "run", 1000)
    async with opened(folder, (200, 60), seeds=1000) as judge:
        times = sorted(await _picks_take(judge, 20))
        await judge.sees("20 of 1,000 reviewed")
        assert times[len(times) // 2] <= 0.05, times


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("screen", ["review", "differences", "clear picks"])
def test_snapshot(
    screen: str,
    size: tuple[int, int],
    theme: str,
    tmp_path: Path,
    snap_compare: Callable[..., bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("faq_tui.core.overrides.getpass.getuser", lambda: "ada")
    folder = make_review_run(tmp_path / "run", 30, unusable=2)

    async def ready(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, FaqApp)
        await until(pilot, lambda: "Nothing is running" in text_of(app) and "97%" in text_of(app))
        app.show_pane("judge")
        await until(pilot, lambda: "seed 1 of 30" in text_of(app))
        await pilot.press("enter", "1", "0")
        await until(pilot, lambda: "3 of 28 reviewed" in text_of(app))
        if screen == "differences":
            await pilot.press("d")
            await until(pilot, lambda: "12 different words" in text_of(app))
        elif screen == "clear picks":
            await pilot.press("A")
            await until(pilot, lambda: "Enter accepts" in text_of(app))
            app.screen.query_one(Input).cursor_blink = False
        await pilot.pause(0.1)

    assert snap_compare(app_on(folder, Config(theme=theme)), terminal_size=size, run_before=ready)
