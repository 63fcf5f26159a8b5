"""Picks of two runs: seeds in common, and those for which the runs use different answers."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from faq_tui.core.overrides import override
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.run_comparison import PickedAnswer, both_answers
from faq_tui.core.run_comparison.picks import compare_picks
from faq_tui.core.store import seeds
from tests.support.compared_runs import add_picks
from tests.support.pane_runs import bare_run

TOML = """
[target]
model = "./target"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://elder:8000/v1"
model = "Big-8B"
"""


def made(stack: ExitStack, folder: Path, toml: str = TOML) -> Run:
    return stack.enter_context(bare_run(folder, 0, toml))


def test_only_other_answers_are_different_picks(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, other = made(stack, tmp_path / "one"), made(stack, tmp_path / "other")
        ids = add_picks(one, [1, 2, 3, None, None, 1])
        add_picks(other, [1, 3, 3, None, 2, 1])
        compared = compare_picks(one, other)
        assert (compared.shared, compared.only_one, compared.only_other, compared.same) == (6, 0, 0, 4)
        assert [(d.seed_id, d.one.words, d.other.words) for d in compared.differing] == [
            (ids[1], "2 (judge)", "3 (judge)"),
            (ids[4], "none (judge)", "2 (judge)"),
        ]
        assert compared.differing[0].question == "Question 2: what is 2 squared?"
        assert not compared.differing[0].one.answer, "the list holds no long texts"
        question, left, right = both_answers(one, other, compared.differing[0])
        assert question == "Question 2: what is 2 squared?"
        assert left == PickedAnswer(2, "judge", "Way 2 leads to the answer.", "I think of way 2.")
        assert right.answer == "Way 3 leads to the answer."
        assert both_answers(one, other, compared.differing[1])[1] == PickedAnswer(None, "judge")


def test_the_pick_of_a_person_counts(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, other = made(stack, tmp_path / "one"), made(stack, tmp_path / "other")
        ids = add_picks(one, [1, 1])
        add_picks(other, [1, 1])
        override(other, ids[0], "2", "")
        (differing,) = compare_picks(one, other).differing
        assert (differing.seed_id, differing.other.words) == (ids[0], "2 (person)")
        override(one, ids[0], "2", "")
        assert not compare_picks(one, other).differing


def test_the_same_number_of_another_answer_is_another_pick(tmp_path: Path) -> None:
    """Runs that asked the source separately have other texts under the same number."""
    with ExitStack() as stack:
        one, other = made(stack, tmp_path / "one"), made(stack, tmp_path / "other")
        ids = add_picks(one, [1, 1, 1])
        add_picks(other, [1, 1, 1])
        with other.store.writing() as db:
            db.execute("UPDATE candidates SET answer = 'Another answer' WHERE seed_id = ?", (ids[0],))
            db.execute("UPDATE candidates SET reasoning = 'Another thought' WHERE seed_id = ?", (ids[1],))
        assert [d.seed_id for d in compare_picks(one, other).differing] == ids[:2]


def test_seeds_of_only_one_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, other = made(stack, tmp_path / "one"), made(stack, tmp_path / "other")
        add_picks(one, [1, 1, 1, 1])
        add_picks(other, [1, 1, 2], first=3)
        compared = compare_picks(one, other)
        assert (compared.shared, compared.only_one, compared.only_other) == (2, 2, 1) and compared.same == 2


def test_sources_of_other_names(tmp_path: Path) -> None:
    renamed = TOML.replace("sources.elder", "sources.self")
    with ExitStack() as stack:
        one, other = made(stack, tmp_path / "one"), made(stack, tmp_path / "other", renamed)
        add_picks(one, [1])
        add_picks(other, [2])
        assert [d.sources for d in compare_picks(one, other).differing] == [("elder", "self")]
        more = renamed + '[sources.third]\nbase_url = "http://third:8000/v1"\nmodel = "Third"\n'
        (tmp_path / "other" / "faq.toml").write_text(more)
        with open_run(tmp_path / "other") as again:
            compared = compare_picks(one, again)
        assert compared.unpaired == ("elder", "self", "third") and not compared.differing


def test_runs_without_picks(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = made(stack, tmp_path / "one")
        other = stack.enter_context(bare_run(tmp_path / "other", 3, TOML))
        assert compare_picks(one, other) == compare_picks(one, other)
        assert compare_picks(other, other).shared == len(seeds.ids_by_role(other.store, "chosen"))
        assert compare_picks(other, other).same == 0 == len(compare_picks(other, other).differing)
