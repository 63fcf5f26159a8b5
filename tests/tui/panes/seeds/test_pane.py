"""The pane Seeds: what is on the screen and in the database after each key."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.pilot import Pilot

from faq_tui.core.run.run import open_run
from faq_tui.core.store import seed_pages, seeds
from faq_tui.core.store.seed_pages import SeedListRow
from faq_tui.tui.app import FaqApp
from faq_tui.tui.panes.seeds.finder import Finder, SeedsFound
from faq_tui.tui.panes.seeds.pane import SeedsPane
from faq_tui.tui.panes.seeds.seed_list import LENGTH_WIDTH, SeedList, length
from faq_tui.tui.selection import selected_seed
from faq_tui.tui.widgets.ask import Ask
from faq_tui.tui.widgets.menu import Menu
from tests.support.app_host import app_on, said, text_of, until
from tests.support.judged_run import HOSTILE, make_judged_run, seed_ids


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return make_judged_run(tmp_path / "run", reserve=30)


class Seeds:
    """The open pane, driven by keys."""

    def __init__(self, app: FaqApp, pilot: Pilot[None], folder: Path) -> None:
        self.app, self.pilot, self.folder = app, pilot, folder

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.press(*("space" if char == " " else char for char in text), "enter")

    @property
    def text(self) -> str:
        """The screen with its runs of spaces and its line ends as one space."""
        return " ".join(text_of(self.app).split())

    async def sees(self, *texts: str) -> None:
        await until(self.pilot, lambda: all(text in self.text for text in texts), 5)

    async def misses(self, text: str) -> None:
        await until(self.pilot, lambda: text not in self.text, 5)

    async def choose(self, value: str) -> None:
        """In the menu that is open."""
        assert isinstance(self.app.screen, Menu)
        for _ in range(60):
            options = self.app.screen.query_one("OptionList")
            index = options.highlighted  # type: ignore[attr-defined]
            prompt = options.get_option_at_index(index).prompt  # type: ignore[attr-defined]
            if value in str(prompt):
                await self.press("enter")
                return
            await self.press("j")
        raise AssertionError(f"no {value!r} in the menu")

    @property
    def listed(self) -> SeedList:
        return self.app.query_one(SeedList)

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(self.folder / "faq.db") as db:
            return db.execute(query).fetchall()


@asynccontextmanager
async def opened(folder: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Seeds]:
    app = app_on(folder)
    async with app.run_test(size=size) as pilot:
        app.show_pane("seeds")
        seeds = Seeds(app, pilot, folder)
        await seeds.sees("4 to regenerate")
        yield seeds


async def test_the_list_says_state_category_question_and_length(run_folder: Path) -> None:
    async with opened(run_folder) as seeds:
        await seeds.sees("seed 1 of 36 4 to regenerate, 1 held out, 31 unused", "40 tokens")
        await seeds.sees("picked cooking", "none usable", "held out", "unused", "chars")
    async with opened(run_folder, (200, 60)) as seeds:
        await seeds.sees("language", "origin", "seeds.jsonl:6")


async def test_down_up_page_down_page_up_first_last(run_folder: Path) -> None:
    """seeds.down seeds.up seeds.page_down seeds.page_up seeds.first seeds.last"""
    ids = seed_ids(run_folder)
    async with opened(run_folder) as seeds:
        await seeds.press("j", "down")
        assert seeds.listed.cursor == 2
        await until(seeds.pilot, lambda: selected_seed(seeds.app) == ids[2], 5)
        await seeds.press("k")
        assert seeds.listed.cursor == 1
        await seeds.press("up", "up")
        assert seeds.listed.cursor == 0
        await seeds.press("ctrl+d")
        assert seeds.listed.cursor == seeds.listed.page > 3
        await seeds.press("pageup")
        assert seeds.listed.cursor == 0
        await seeds.press("G")
        await seeds.sees("seed 36 of 36", "Reserve 29: what is")
        await seeds.press("g")
        await seeds.sees("seed 1 of 36", "Why does my bread")


@pytest.mark.slow
async def test_search_finds_text_labels_and_ids(run_folder: Path) -> None:
    ids = seed_ids(run_folder)
    async with opened(run_folder) as seeds:
        for text, found in (("BREAD", "bread not rise"), ("Möbius", "Möbius strips"), ("q4", "far away")):
            await seeds.press("slash")
            assert isinstance(seeds.app.screen, Ask)
            await seeds.press("ctrl+u")
            await seeds.type(text)
            await seeds.sees(f"“{text}”: 1 of 36 seeds", found)
        await seeds.press("slash", "ctrl+u")
        await seeds.type(ids[3])
        await seeds.sees("1 of 36 seeds", "How far away")
        await seeds.press("slash", "ctrl+u", "enter")
        await seeds.sees("of 36 4 to")


async def test_search_does_not_find_the_keys_of_the_stored_json(run_folder: Path) -> None:
    async with opened(run_folder) as seeds:
        for text in ("user", "content", "%", "_"):
            await seeds.press("slash", "ctrl+u")
            await seeds.type(text)
            await seeds.sees(f"“{text}”: 0 of 36 seeds", "no seed matches")


@pytest.mark.slow
async def test_filter_by_state_category_length_and_clear(run_folder: Path) -> None:
    """seeds.filter seeds.clear"""
    async with opened(run_folder) as seeds:
        await seeds.press("f")
        await seeds.choose("picked: the judge")
        await seeds.sees("picked: 3 of 36 seeds", "bread", "rebase")
        await seeds.press("F")
        await seeds.choose("maths")
        await seeds.sees("picked, maths: 1 of 36 seeds", "square root")
        await seeds.misses("bread")
        await seeds.press("escape")
        await seeds.sees("seed 2 of 36 4 to regenerate")
        await seeds.press("f")
        await seeds.choose("over 2,000")
        await seeds.sees("over 2,000 characters: 0 of 36 seeds")
        await seeds.press("escape", "f", "escape")
        await seeds.sees("of 36 4 to regenerate")


async def test_exclude_and_undo_are_rows(run_folder: Path) -> None:
    """seeds.exclude seeds.undo"""
    ids = seed_ids(run_folder)
    async with opened(run_folder) as seeds:
        await seeds.press("j", "e")
        await seeds.sees("excluded maths", "1 excluded")
        assert seeds.rows("SELECT id FROM seeds WHERE excluded") == [(ids[1],)]
        await seeds.press("e")
        assert seeds.rows("SELECT id FROM seeds WHERE excluded") == []
        await seeds.press("u")
        assert seeds.rows("SELECT id FROM seeds WHERE excluded") == [(ids[1],)]
        await seeds.press("u")
        assert seeds.rows("SELECT id FROM seeds WHERE excluded") == []
        await seeds.press("u")
        assert "nothing to undo" in said(seeds.app)
        actions = [row[0] for row in seeds.rows("SELECT action FROM seed_edits ORDER BY id")]
        assert actions == ["exclude", "include", "exclude", "include"]
        await seeds.sees("picked maths")


async def test_a_job_that_holds_the_database_is_not_waited_for(run_folder: Path) -> None:
    async with opened(run_folder) as seeds:
        other = sqlite3.connect(run_folder / "faq.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await seeds.press("e")
        await seeds.press("t", "x", "enter")
        other.execute("ROLLBACK")
        other.close()
        sentence = "the running job is writing to the database: nothing was changed, try again"
        assert said(seeds.app).count(sentence) == 2
        await seeds.press("e")
        assert seeds.rows("SELECT count(*) FROM seed_edits") == [(1,)]


async def test_an_excluded_seed_leaves_the_sets(run_folder: Path) -> None:
    from faq_tui.core.store import seeds as seed_rows

    async with opened(run_folder) as seeds:
        await seeds.press("e")
    with open_run(run_folder) as run:
        assert len(seed_rows.by_role(run.store, "chosen")) == 3


@pytest.mark.slow
async def test_tag_filter_and_undo(run_folder: Path) -> None:
    """seeds.tag"""
    async with opened(run_folder) as seeds:
        await seeds.press("t")
        await seeds.type("hard one")
        await seeds.sees("#hard one Why does")
        await until(seeds.pilot, lambda: seeds.app.query_one(SeedsPane).facts.tags == ["hard one"])  # type: ignore[union-attr]
        await seeds.press("f")
        await seeds.choose("hard one")
        await seeds.sees("#hard one: 1 of 36 seeds")
        await seeds.press("escape", "u")
        await seeds.misses("#hard one Why")
        assert seeds.rows("SELECT * FROM seed_tags") == []
        await seeds.press("t", "escape")
        assert seeds.rows("SELECT count(*) FROM seed_edits") == [(2,)]


async def test_set_shows_the_sample_of_the_next_set_with_its_tokens_marked(run_folder: Path) -> None:
    """seeds.set"""
    async with opened(run_folder, (120, 36)) as seeds:
        await seeds.sees("as in set baseline: 40 tokens; press v to see elder", "<|im_start|>user")
        await seeds.press("v")
        await seeds.sees("as in set elder", "<|im_start|>assistant", "Yes.")
        await seeds.press("j")
        await seeds.sees("as in set elder: 41 tokens", "square root of two is irrational?<|im_end|>")
        await seeds.press("G")
        await seeds.sees("from the seed file (in no calibration set yet)")
        await seeds.press("v")
        assert "this seed is in no calibration set yet" in said(seeds.app)


async def test_zoom_gives_the_preview_the_pane(run_folder: Path) -> None:
    """seeds.zoom"""
    async with opened(run_folder) as seeds:
        await seeds.press("enter")
        await seeds.misses("category question")
        await seeds.sees("<|im_start|>user")
        await seeds.press("escape")
        await seeds.sees("category question")


async def test_preview_down_and_preview_up_scroll(tmp_path: Path) -> None:
    """seeds.preview_down seeds.preview_up"""
    folder = make_judged_run(tmp_path / "run", hostile="\n".join(f"line {n}" for n in range(50)))
    async with opened(folder) as seeds:
        await seeds.sees("line 1\n".strip())
        box = seeds.app.query_one("#seed-scroll")
        await seeds.press("J")
        await until(seeds.pilot, lambda: box.scroll_y == 3)
        await seeds.press("K")
        await until(seeds.pilot, lambda: box.scroll_y == 0)


async def test_source_tells_the_state_for_the_next_source(run_folder: Path) -> None:
    with open_run(run_folder) as run:
        run.store.db.execute("DELETE FROM picks WHERE source = 'teacher'")
    async with opened(run_folder) as seeds:
        await seeds.sees("state for elder", "picked cooking")
        await seeds.press("s")
        await seeds.sees("state for teacher", "not judged cooking")


async def test_what_a_job_writes_appears(run_folder: Path) -> None:
    async with opened(run_folder) as seeds:
        with open_run(run_folder) as run:
            run.store.db.execute("UPDATE picks SET action = 'reject', candidate_id = NULL WHERE source = 'elder'")
        await seeds.pilot.pause(1.0)
        seeds.app.session.live.version += 1
        await seeds.sees("none usable cooking Why")


@pytest.mark.slow
async def test_hostile_text_is_inert_and_a_long_line_is_fast(tmp_path: Path) -> None:
    folder = make_judged_run(tmp_path / "run", hostile=HOSTILE + "w" * 1_000_000)
    async with opened(folder) as seeds:
        await seeds.sees("[red]x[/red] \ufffd]52;c;aGFoYQ==\ufffd \ufffd[2J \ufffdgnp.exe\ufffd [/] end")
        assert not any(char in text_of(seeds.app) for char in "\x1b\x07\x00\u202e")
        began = time.process_time()  # the machine may be busy with other things
        for _ in range(3):
            await seeds.press("j", "k")
        assert time.process_time() - began < 3


async def test_no_seeds_yet(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_judged_run(folder)
    with open_run(folder) as run:
        run.store.db.execute("UPDATE seeds SET present = 0")
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No seeds loaded. The stage seeds reads them; r starts it." in text_of(app), 5)
        await pilot.press("e", "j", "G", "enter", "u")


async def test_seeds_that_a_job_reads_get_their_heading(tmp_path: Path) -> None:
    folder = make_judged_run(tmp_path / "run")
    with open_run(folder) as run:
        run.store.db.execute("UPDATE seeds SET present = 0")
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No seeds loaded." in text_of(app), 5)
        app.show_pane("regenerate")
        with open_run(folder) as run:
            run.store.db.execute("UPDATE seeds SET present = 1")
        app.show_pane("seeds")
        await until(pilot, lambda: "state        category" in text_of(app) and "picked" in text_of(app), 5)


async def test_an_edit_of_a_removed_run_is_an_error(run_folder: Path) -> None:
    async with opened(run_folder) as seeds:
        shutil.rmtree(run_folder)
        await seeds.press("e")
        await until(seeds.pilot, lambda: any("was removed: nothing was stored" in s for s in said(seeds.app)), 5)
        assert not any("excluded" in s for s in said(seeds.app))


@pytest.mark.parametrize(
    ("count", "tokens", "shown"),
    [
        (99_999, None, "99,999 chars"),
        (199_999, None, "200k chars"),
        (2_345_678, None, "2.3M chars"),
        (5, 9_999, "9,999 tokens"),
        (5, 12_345, "12k tokens"),
    ],
)
def test_the_unit_of_a_length_is_not_cut(count: int, tokens: int | None, shown: str) -> None:
    row = SeedListRow(0, "a", "picked", 0, "", "", "", count, "", "", ())
    text = length(row, {"a": tokens} if tokens is not None else {})
    assert text == shown and len(text) <= LENGTH_WIDTH


def test_pages_are_read_not_tables(tmp_path: Path) -> None:
    """SQLite looks up the rows asked for, and filters on the index alone."""
    with open_run(make_judged_run(tmp_path / "run")) as run:
        asked: list[str] = []
        run.store.db.set_trace_callback(asked.append)
        seed_pages.rows_at(run.store, seed_pages.View(), [1, 2])
        list(seed_pages.matches(run.store.db, seed_pages.View(), seed_pages.SeedFilter(category="code")))
        run.store.db.set_trace_callback(None)
        explained = [run.store.db.execute(f"EXPLAIN QUERY PLAN {query}") for query in (asked[0], asked[-1])]
        plans = ["\n".join(row["detail"] for row in plan) for plan in explained]
    assert "SEARCH s USING INDEX seeds_browse (position=?)" in plans[0]
    assert "SEARCH s USING COVERING INDEX seeds_browse (position>? AND position<?)" in plans[1]


def test_a_search_goes_through_the_whole_file_in_order(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_pages, "FIRST_STRETCH", 2)
    with open_run(run_folder) as run:
        found = list(seed_pages.matches(run.store.db, seed_pages.View(), seed_pages.SeedFilter(category="maths")))
        assert len(found) > 2
        assert [position for some in found for position in some] == list(range(1, 36, 3))


def test_a_newer_search_ends_the_older_one(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ear:
        heard: ClassVar[list[SeedsFound]] = []

        def post_message(self, message: SeedsFound) -> None:
            self.heard.append(message)

    def slow(db: sqlite3.Connection, view: object, wanted: seed_pages.SeedFilter) -> Iterator[list[int]]:
        for number in range(100 if wanted.text == "old" else 2):
            yield [number]
            time.sleep(0.02)

    monkeypatch.setattr(seed_pages, "matches", slow)
    with open_run(run_folder) as run:
        finder = Finder(Ear(), run.store)  # type: ignore[arg-type]
        old = finder.search(seed_pages.View(), seed_pages.SeedFilter("old"))
        time.sleep(0.2)
        new = finder.search(seed_pages.View(), seed_pages.SeedFilter("new"))
        time.sleep(0.5)
        finder.stop()
        assert old != new
        assert [found.number for found in Ear.heard] == sorted(found.number for found in Ear.heard)
        assert [found.number for found in Ear.heard if found.done] == [new]
        assert sum(len(found.positions) for found in Ear.heard if found.number == new) == 2


def test_undo_goes_back_edit_by_edit(run_folder: Path) -> None:
    first, second = seed_ids(run_folder)[:2]
    with open_run(run_folder) as run:
        seeds.toggle_excluded(run.store, first, "me")
        seeds.toggle_tag(run.store, second, "t", "me")
        undone = [seeds.undo_edit(run.store, "me") for _ in range(3)]
        assert [(edit.seed_id, edit.action) if edit else None for edit in undone] == [
            (second, "tag"),
            (first, "exclude"),
            None,
        ]


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids="{0[0]}x{0[1]}".format)
def test_snapshot(size: tuple[int, int], run_folder: Path, snap_compare: Callable[..., bool]) -> None:
    async def ready(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "4 to regenerate" in text_of(pilot.app), 5)
        await until(pilot, lambda: "40 tokens" in text_of(pilot.app), 5)
        await pilot.press("j")
        await pilot.pause(0.2)

    assert snap_compare(app_on(run_folder), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_rows_that_are_no_seeds_are_counted_by_reason(run_folder: Path, size: tuple[int, int]) -> None:
    with open_run(run_folder) as run:
        seeds.record_skips(run.store, {"image": 1200, "tools": 34})
    async with opened(run_folder, size) as pane:
        await pane.sees("31 unused", "1,234 rows skipped: 1,200 image, 34 tools")
