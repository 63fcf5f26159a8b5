"""The pane Judge: keys, the rows they leave, and what is on the screen."""

from __future__ import annotations

import getpass
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from faq_tui.core.judging.picking import FILTERS, ReviewCounts, admits
from faq_tui.core.run.run import open_run
from faq_tui.core.source_views import views_of
from faq_tui.core.store import candidates, judged, picks, seed_pages, seeds
from faq_tui.tui.app import FaqApp
from faq_tui.tui.panes.judge.candidate import CandidateBox
from faq_tui.tui.selection import selected_seed
from tests.support.app_host import app_on, said, text_of, until
from tests.support.judged_run import HOSTILE, make_judged_run, seed_ids
from tests.support.shell import rows

PERSON = (
    "SELECT p.source, p.action, c.number, p.who, p.reason"
    " FROM picks p LEFT JOIN candidates c ON c.id = p.candidate_id WHERE p.picked_by = 'person' ORDER BY p.id"
)
ME = getpass.getuser()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return make_judged_run(tmp_path / "run")


class Judge:
    def __init__(self, app: FaqApp, pilot: Pilot[None], folder: Path) -> None:
        self.app, self.pilot, self.folder = app, pilot, folder

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    @property
    def text(self) -> str:
        return " ".join(text_of(self.app).split())

    async def sees(self, *texts: str) -> None:
        await until(self.pilot, lambda: all(text in self.text for text in texts), 5)

    async def misses(self, *texts: str) -> None:
        await until(self.pilot, lambda: not any(text in self.text for text in texts), 5)

    def overrides(self) -> list[Any]:
        return rows(self.folder, PERSON)


@asynccontextmanager
async def opened(
    folder: Path, size: tuple[int, int] = (80, 24), seeds: int = 4, goes_on: bool = True
) -> AsyncIterator[Judge]:
    """The pane on the first seed. With `goes_on` false, it stays on a seed after a decision (the key `a`)."""
    app = app_on(folder)
    async with app.run_test(size=size) as pilot:
        app.show_pane("judge")
        judge = Judge(app, pilot, folder)
        await judge.sees(f"seed 1 of {seeds:,}")
        if not goes_on:
            await judge.press("a")
        yield judge


async def test_the_judges_pick_its_mark_and_its_reason(run_folder: Path) -> None:
    async with opened(run_folder) as judge:
        await judge.sees("Why does my bread", "judge's pick: 1 (not reviewed)", "no overrides yet")
        await judge.sees("1 8 of 10 picked by judge 2 5 of 10 3 unusable", "judge: reason 1", "Answer 1 of elder")
        await judge.misses("Answer 2 of elder")
    async with opened(run_folder, (120, 36)) as judge:
        await judge.sees(
            "Answer 1 of elder", "Answer 2 of elder", "Answer 3 of elder", "cut off at max_tokens: cannot"
        )


async def test_a_click_selects_a_candidate(run_folder: Path) -> None:
    async with opened(run_folder) as judge:  # one box, and a tab for each candidate
        await judge.sees("Answer 1 of elder")
        y, line = next((y, line) for y, line in enumerate(text_of(judge.app).splitlines()) if " 3  unusable" in line)
        await judge.pilot.click(offset=(line.index("5 of 10"), y))
        await judge.sees("Answer 2 of elder")
        await judge.misses("Answer 1 of elder")
        await judge.pilot.click(offset=(line.index("picked by"), y))
        await judge.sees("Answer 1 of elder")
    async with opened(run_folder, (120, 36)) as judge:
        await judge.sees("Answer 2 of elder")
        boxes = [box for box in judge.app.query(CandidateBox) if box.display]
        await judge.pilot.click(boxes[1], offset=(3, 5))
        assert [box.number for box in boxes if box.has_class("-chosen")] == [2]


async def test_pick_1_pick_2_pick_3_are_rows_with_who_and_when(run_folder: Path) -> None:
    """judge.pick_1 judge.pick_2 judge.pick_3"""
    before = rows(run_folder, "SELECT * FROM picks")
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("2")
        await judge.sees(f"Now: candidate 2, by {ME}", "judge's pick: 1", "0 of 1 overrides agree with the judge")
        await judge.press("1")
        await judge.sees("Now: candidate 1", "the judge agrees", "1 of 1 overrides agree")
        await judge.press("n", "n", "3")
        await judge.sees("seed 3 of 4", "2 of 2 overrides agree")
    assert judge.overrides() == [("elder", "pick", number, ME, "") for number in (2, 1, 3)]
    after = rows(run_folder, "SELECT * FROM picks")
    assert after[: len(before)] == before, "no row is edited"
    assert all(abs(time.time() - row[-1]) < 60 for row in after[len(before) :])


async def test_after_the_number_of_candidates_was_lowered(run_folder: Path) -> None:
    """The judge's pick of a candidate that the settings no longer ask for is not shown. A person's pick stays."""
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("n", "3", "n")
        await judge.sees("seed 3 of 4", "judge's pick: 3")
    settings = run_folder / "faq.toml"
    settings.write_text(settings.read_text().replace("[sources.elder]\n", "[sources.elder]\ncandidates = 2\n"))
    async with opened(run_folder, (120, 36)) as judge:
        await judge.press("n")
        await judge.sees("Now: candidate 3, by", "judge's pick: 1", "Answer 3 of elder")
        await judge.press("n")
        await judge.sees("seed 3 of 4", "not judged yet", "Answer 2 of elder")
        await judge.misses("Answer 3 of elder")


async def test_half_an_answer_is_refused_and_a_loop_is_not(run_folder: Path) -> None:
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("3")
        await until(judge.pilot, lambda: any("is truncated: it cannot be assembled" in s for s in said(judge.app)), 5)
        assert judge.overrides() == []
        await judge.press("G")
        await judge.sees(
            "the judge found no usable answer", "repeats itself: the judge never picks this answer, but you can"
        )
        await judge.press("1")
        await judge.sees("Now: candidate 1, by")


async def test_a_digit_without_a_seed_names_the_keys_of_the_panes(folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f3", "5")
        await until(pilot, lambda: said(app))
        assert said(app)[0].startswith("there is no seed to decide yet. In this pane, the digits pick candidates")
        assert app.pane.id == "judge"


async def test_pick_this_takes_the_chosen_candidate(run_folder: Path) -> None:
    """judge.pick_this judge.left judge.right"""
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("l")
        await judge.sees("Answer 2 of elder")
        await judge.press("space")
        await judge.sees("Now: candidate 2")
        await judge.press("h", "h")
        await judge.sees("Answer 3 of elder")


async def test_an_override_of_an_answer_under_other_settings_counts_no_more(run_folder: Path) -> None:
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("2")
        await judge.sees("Now: candidate 2")
    toml = run_folder / "faq.toml"
    toml.write_text(toml.read_text().replace('model = "Big-32B"', 'model = "Big-72B"'))
    with open_run(run_folder) as run:
        view = views_of(run)[0]
        run.store.db.execute(
            "INSERT INTO candidates (id, key, seed_id, source, number, generation, model, prompt_version, reasoning,"
            " answer, finish_reason, flags, prompt_tokens, completion_tokens, seconds, dialect, created)"
            " SELECT id + 1000, key || 'x', seed_id, source, number, ?, model, prompt_version,"
            " reasoning, answer, finish_reason, flags, prompt_tokens, completion_tokens, seconds, dialect, created"
            " FROM candidates WHERE source = 'elder'",
            (view.source_hash,),
        )
        found = judged.standings(run.store, view)
        assert [(s.judged, s.override) for s in found] == [(False, None)] * 3 + [(True, None)]
        assert {row.state for row in seed_pages.rows_at(run.store, view, range(3)).values()} == {"not judged"}


async def test_reject_and_undo(run_folder: Path) -> None:
    """judge.reject judge.undo"""
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("0")
        await judge.sees(f"Now: rejected, by {ME}")
        await judge.press("n", "1", "n")
        await judge.sees("seed 3 of 4")
        await judge.press("u")  # no override here: the last one made
        await judge.sees("seed 2 of 4", "not reviewed")
        await judge.press("p", "u", "u")
        await judge.sees("seed 1 of 4", "not reviewed", "no overrides yet")
        assert "there is no override of yours to undo" in said(judge.app)
    actions = [row[1] for row in judge.overrides()]
    assert actions == ["reject", "pick", "clear", "clear"]


async def test_the_judge_pane_writes_what_the_set_will_hold(run_folder: Path) -> None:
    from faq_tui.core.store import picks

    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("2", "n", "0")
    with open_run(run_folder) as run:
        view = views_of(run)[0]
        current = picks.current(run.store, "elder", view.judge, view.source_hash)
        ids = seed_ids(run_folder)
        assert current[ids[0]].picked_by == "person"
        assert current[ids[1]].candidate_id is None
        assert current[ids[2]].picked_by == "judge"


async def test_next_previous_first_last(run_folder: Path) -> None:
    """judge.next judge.previous judge.first judge.last"""
    ids = seed_ids(run_folder)
    async with opened(run_folder) as judge:
        await judge.press("n")
        await judge.sees("seed 2 of 4", "square root")
        assert selected_seed(judge.app) == ids[1]
        await judge.press("p", "p")
        await judge.sees("seed 1 of 4")
        assert "this is the first seed" in said(judge.app)
        await judge.press("G", "n")
        await judge.sees("seed 4 of 4")
        assert "this is the last seed" in said(judge.app)
        await judge.press("g")
        await judge.sees("seed 1 of 4")


async def test_next_undecided_and_previous_undecided(run_folder: Path) -> None:
    """judge.next_undecided judge.previous_undecided"""
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("n", "1", "n", "1", "g", "N")
        await judge.sees("seed 4 of 4")
        await judge.press("P")
        await judge.sees("seed 1 of 4")
        await judge.press("P")
        assert any("no earlier seed" in sentence for sentence in said(judge.app))


async def test_filter_shows_what_a_person_looks_for(run_folder: Path) -> None:
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("2", "F", "j", "enter")
        await judge.sees("seed 1 of 1", "close calls (best two within 1)", "square root")
        await judge.press("F", "j", "enter")
        await judge.sees("seed 1 of 1", "disagreements", "bread")
        await judge.press("1")  # agrees now, but does not vanish under one's hands
        await judge.sees("seed 1 of 1", "bread", "the judge agrees")
        await judge.press("F", "enter", "F", "k", "k", "enter")
        await judge.sees("seed 1 of 4")


def test_what_each_filter_admits(run_folder: Path) -> None:
    from faq_tui.core.overrides import pick, reject

    ids = seed_ids(run_folder)
    with open_run(run_folder) as run:
        pick(run, ids[1], "elder", 1, "")
        reject(run, ids[2], "elder", "")
        found = judged.standings(run.store, views_of(run)[0])
        admitted = {name: [ids.index(s.seed_id) for s in found if admits(name, s, "llm")] for name in FILTERS}
        assert admitted == {
            "all": [0, 1, 2, 3],
            "close calls": [1],
            "disagreements": [2],
            "truncated or unusable": [0, 3],
            "overridden": [1, 2],
        }
        counts = ReviewCounts.of(found)
        assert (counts.agreed, counts.decided_by_both) == (1, 2)


async def test_blind_hides_marks_reasons_and_the_judges_pick(run_folder: Path) -> None:
    async with opened(run_folder, (120, 36), goes_on=False) as judge:
        await judge.sees("8 of 10", "reason 1", "picked by judge", "judge's pick: 1")
        await judge.press("b")
        await judge.sees("blind: scores hidden, order kept", "Answer 1 of elder", "cut off at max_tokens")
        await judge.misses("8 of 10", "reason 1", "picked by judge", "judge's pick:", "overrides")
        await judge.press("n", "n")
        boxes = list(judge.app.query(CandidateBox))
        assert boxes[0].has_class("-chosen"), "where one stands must not betray the judge's pick"
        await judge.press("2")
        await judge.sees("Now: candidate 2", "picked by person")
        await judge.misses("picks 3")
        await judge.press("b")
        await judge.sees("9 of 10", "judge's pick: 3")


async def test_fold_opens_long_reasoning(run_folder: Path) -> None:
    async with opened(run_folder) as judge:
        await judge.sees("▸ reasoning, 1,259 characters, folded: press z to unfold it")
        await judge.misses("I weigh the flour")
        await judge.press("z")
        await judge.sees("▾ reasoning", "I weigh the flour")
        await judge.press("z")
        await judge.misses("I weigh the flour")
        await judge.press("l")
        await judge.sees("▸ reasoning, 16 characters")


async def test_down_up_page_down_page_up_scroll(run_folder: Path) -> None:
    """judge.down judge.up judge.page_down judge.page_up"""
    async with opened(run_folder) as judge:
        await judge.press("z")
        view = judge.app.query(CandidateBox).first().text
        await judge.press("j", "down")
        await until(judge.pilot, lambda: view.top == 2, 5)
        await judge.press("k")
        await until(judge.pilot, lambda: view.top == 1, 5)
        await judge.press("ctrl+d")
        await until(judge.pilot, lambda: view.top > 4, 5)
        await judge.press("ctrl+u", "up")
        await until(judge.pilot, lambda: view.top == 0, 5)


async def test_reason_for_the_coming_and_for_the_standing_override(run_folder: Path) -> None:
    async with opened(run_folder, goes_on=False) as judge:
        await judge.press("R", *"short", "enter")
        await judge.sees("Reason for your pick: short")
        assert judge.overrides() == []
        await judge.press("n", "1", "p", "2")
        await judge.sees("“short”")
        await judge.press("R", "ctrl+u", *"clear", "enter")
        await judge.sees("“clear”")
        await judge.press("R", "escape")
    assert [(row[2], row[4]) for row in judge.overrides()] == [(1, ""), (2, "short"), (2, "clear")]


async def test_source_shows_the_next_sources_candidates(run_folder: Path) -> None:
    async with opened(run_folder, goes_on=False) as judge:
        await judge.sees("source elder")
        await judge.press("s", "2")
        await judge.sees("source teacher", "Answer 2 of teacher", "Now: candidate 2")
        assert judge.overrides()[0][0] == "teacher"
        await judge.press("s")
        await judge.sees("source elder", "no overrides yet")


async def test_the_pane_opens_on_the_seed_chosen_elsewhere(run_folder: Path) -> None:
    app = app_on(run_folder)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_pane("seeds")
        await pilot.press("j", "j")
        await until(pilot, lambda: selected_seed(app) == seed_ids(run_folder)[2], 5)
        app.show_pane("judge")
        await until(pilot, lambda: "seed 3 of 4" in text_of(app), 5)


async def test_marks_that_arrive_are_shown(run_folder: Path) -> None:
    async with opened(run_folder) as judge:
        with open_run(run_folder) as run:
            run.store.db.execute("UPDATE scores SET score = 6.5 WHERE score = 8")
        await judge.pilot.pause(1.05)
        judge.app.session.live.version += 1
        await judge.sees("6.5 of 10")


async def test_nothing_to_judge_yet(tmp_path: Path, folder: Path) -> None:
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_pane("judge")
        await until(pilot, lambda: "No candidates yet" in text_of(app), 5)
        await pilot.press("1", "0", "u", "n", "N", "R", "f", "b", "j", "space", "l")
        assert "there is no override of yours to undo" in said(app)


@pytest.mark.slow
async def test_hostile_text_is_inert_and_a_long_line_is_fast(tmp_path: Path) -> None:
    folder = make_judged_run(tmp_path / "run", hostile=HOSTILE + "w" * 1_000_000)
    began = time.process_time()  # the machine may be busy with other things
    async with opened(folder, (120, 36)) as judge:
        await judge.press("z")
        await judge.sees("[red]x[/red] \ufffd]52;c;aGFoYQ==\ufffd \ufffd[2J", "\ufffdgnp.exe\ufffd [/]")
        assert not any(char in text_of(judge.app) for char in "\x1b\x07\x00\u202e")
        await judge.press("n", "p", "j")
    assert time.process_time() - began < 8


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids="{0[0]}x{0[1]}".format)
def test_snapshot(
    size: tuple[int, int], run_folder: Path, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    ids = seed_ids(run_folder)
    with open_run(run_folder) as run:
        run.store.db.execute(
            "INSERT INTO picks (seed_id, source, action, candidate_id, picked_by, who, reason, created)"
            " SELECT seed_id, source, 'pick', id, 'person', 'ada', 'shorter', 1800000000 FROM candidates"
            " WHERE seed_id = ? AND source = 'elder' AND number = 2",
            (ids[0],),
        )

    async def ready(pilot: Pilot[None]) -> None:
        pilot.app.show_pane("judge")  # type: ignore[attr-defined]
        await until(pilot, lambda: "candidate 2, by ada" in text_of(pilot.app), 5)
        await pilot.pause(0.2)

    assert snap_compare(app_on(run_folder), terminal_size=size, run_before=ready)


def mark_in_columns(folder: Path) -> None:
    """All three kinds on the first seed, a mix of two picks."""
    toml = (folder / "faq.toml").read_text()
    (folder / "faq.toml").write_text(
        toml + 'columns = ["activation"]\npick_by = { llm = 1.0, likelihood = 0.5 }\nlength_control = false\n'
    )
    parts = {"correctness": 9.0, "soundness": 8.0, "completeness": 8.5, "form": 7.0}
    with open_run(folder) as run:
        view = views_of(run)[0]
        llm, likelihood, activation = view.columns
        for c in candidates.of_seed(run.store, "elder", view.source_hash, seeds.ids(run.store)[0])[:2]:
            score = 9.0 - c.number / 2
            add: list[tuple[str, str, float, str, dict[str, Any]]]
            add = [(llm, "llm", score, "[b]well[/b] said \x1b[2J", {"parts": parts, "orders": []})]
            spans = {
                "answer": {"mean_logprob": -0.9, "tokens": 40},
                "reasoning": {"mean_logprob": -1.1, "tokens": 60},
            }
            add.append((likelihood, "likelihood", -1.02 * c.number, "mean", {"tokens": 100, **spans}))
            driven = {"covered": 12, "outliers": 40, "crest": 14.25, "kurtosis": 9.1}
            add.append((activation, "activation", 0.3, "covers 12", driven))
            for judge, kind, mark, reason, details in add:
                picks.add_score(run.store, picks.ScoreRow(c.id, judge, kind, mark, reason, details), replace=True)
            words = "mix: 1 × +0.70 llm, 0.5 × -0.40 likelihood"
            picks.put_derived(run.store, view.judge, [picks.ScoreRow(c.id, view.judge, "mix", 1.5 - c.number, words)])
            if c.number == 1:
                best = [(c.seed_id, "elder", "pick", c.id)]
                picks.add_picks(run.store, best, "judge", view.judge, "best score")


async def test_every_kinds_marks_stand_beside_each_candidate_and_blind_hides_all(run_folder: Path) -> None:
    mark_in_columns(run_folder)
    everything = (
        *("llm 8.5 · lik -1.02 · act 0.30", "llm 8 · lik -2.04 · act 0.30", "judge: [b]well[/b] said"),
        *("correctness 9 · soundness 8 · completeness 8.5 · form 7", "mix: 1 × +0.70 llm"),
        *("answer -0.90 over 40 tokens, reasoning -1.10 over 60", "12 of 40 outlier channels, crest 14.2"),
    )
    async with opened(run_folder, (250, 48), goes_on=False) as judge:
        await judge.sees("picked by judge", *everything)
        await judge.press("b")
        await judge.sees("blind: scores hidden")
        await judge.misses("picked by judge", *everything)
        await judge.press("b", "2")
        await judge.sees("0 of 1 overrides agree with the judge", *everything)
