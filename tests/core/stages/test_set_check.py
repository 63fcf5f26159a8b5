"""What a set needs is checked before a request is paid for: its text file, and a target with experts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode, UsageError
from faq_tui.core.doctor.inputs import target_checks
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.settings import parse_settings
from faq_tui.core.stages.set_check import check_sets
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.seeds import Seed
from tests.support.fake_server import FakeServer
from tests.support.shell import make_run, refused
from tests.support.tiny import make_tiny_mixture, make_tiny_model

TOML = '[target]\nmodel = "{target}"\n[seeds]\npath = "seeds.jsonl"\n[evaluate]\nperplexity = ["held.txt"]\n'
MIXED = '[sets.mixed]\nfrom = {{baseline = 0.5, prose = 0.5}}\nprose_file = "{file}"\n'
QUESTION = "What is the longest word of this sentence, and why is it so long?"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "faq.toml").write_text(TOML.format(target="embedded"))
    (tmp_path / "held.txt").write_text("Held-out text. " * 100)
    with open_run(tmp_path) as run:
        seeds = [Seed(({"role": "user", "content": f"{n}: {QUESTION}"},), None, "x") for n in range(10)]
        seed_rows.replace_all(run.store, seeds)
        seed_rows.assign_roles(run.store, [seed.id for seed in seeds], [])
        yield run


def with_sets(run: Run, sets: str, target: str = "embedded") -> Run:
    return Run(run.folder, parse_settings(TOML.format(target=target) + sets), run.store)


def complaint(run: Run) -> str:
    with pytest.raises(UsageError) as caught:
        check_sets(run)
    return str(caught.value)


def test_the_file_of_prose(folder: Run) -> None:
    def said(content: bytes | None) -> str:
        path = folder.folder / "a.txt"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        return complaint(with_sets(folder, MIXED.format(file="a.txt")))

    assert "there is no text file" in said(None) and "correct sets.mixed.prose_file" in said(None)
    assert "is not UTF-8 text (byte 3): save it as UTF-8" in said(b"abc\xff\xfe")
    assert "sets.mixed.prose_file a.txt has only 5 characters, but the set needs at least 68" in said(
        b" Text. \n"[:6]
    )
    assert "held-out text" in complaint(with_sets(folder, MIXED.format(file="held.txt")))
    (folder.folder / "copy.txt").write_text("Held-out text. " * 100)
    assert "copy.txt is also a held-out text" in complaint(with_sets(folder, MIXED.format(file="copy.txt")))
    (folder.folder / "words.txt").write_text("Passages whose last word is asked for. " * 100)
    last_words = MIXED.format(file="words.txt") + '[evaluate]\nlast_word = ["words.txt"]\nperplexity = []\n'
    settings = parse_settings(TOML.format(target="embedded").partition("[evaluate]")[0] + last_words)
    assert "words.txt is also a held-out text" in complaint(Run(folder.folder, settings, folder.store))
    assert "there is no text file" in complaint(with_sets(folder, MIXED.format(file=".")))
    (folder.folder / "a.txt").write_text("Enough text. " * 100)
    good = with_sets(folder, MIXED.format(file="a.txt"))
    check_sets(good)
    assert [(c.state, c.found) for c in target_checks(good) if c.name == "sets"] == [("ok", "mixed")]


ONLY_ANSWERS = "[[recipes]]\ntoken_weights = { question = 0, template = 0 }\n"
PROSE = '[sets.text]\nfrom = "prose"\nprose_file = "a.txt"\ncount = 2\n'


def test_a_set_needs_a_token_with_a_weight(folder: Run) -> None:
    """The seeds of the run have no answers, so the baseline has only tokens of questions and of the template."""
    said = complaint(with_sets(folder, ONLY_ANSWERS))
    assert said.startswith("`recipes[1].token_weights` gives the weight 0 to every token of the set baseline: ")
    assert [(c.state, c.found) for c in target_checks(with_sets(folder, ONLY_ANSWERS)) if c.name == "sets"] == [
        ("failed", "the default sets")
    ]
    (folder.folder / "a.txt").write_text("Enough text. " * 100)
    no_questions = "[[recipes]]\ntoken_weights = { question = 0 }\nsets = ['text']\n"
    assert "every token of the set text" in complaint(with_sets(folder, PROSE + no_questions))
    check_sets(with_sets(folder, "[[recipes]]\ntoken_weights = { question = 0 }\n"))
    seed_rows.replace_all(folder.store, [Seed(({"role": "user", "content": QUESTION},), "Because.", "x")])
    check_sets(with_sets(folder, ONLY_ANSWERS))
    seed_rows.replace_all(folder.store, [])
    check_sets(with_sets(folder, ONLY_ANSWERS))  # `doctor` runs before the seeds are read


def test_sets_that_cannot_have_a_kind(folder: Run) -> None:
    """A set with `answer_only` has no reasoning, and a set of the kind "template" has no answers."""
    seed_rows.replace_all(folder.store, [Seed(({"role": "user", "content": QUESTION},), "Because.", "x")])
    source = '[sources.elder]\nbase_url = "http://elder:8000/v1"\nmodel = "Big-8B"\n'
    short = '[sets.short]\nfrom = "elder"\nanswers_cut = 20\n'
    no_answers = "[[recipes]]\ntoken_weights = { question = 0, template = 0, answer = 0 }\nsets = ['short']\n"
    check_sets(with_sets(folder, source + short + no_answers))
    assert "every token of the set short" in complaint(
        with_sets(folder, source + f"{short}answer_only = true\n" + no_answers)
    )
    bare = "[sets.bare]\nkind = 'template'\n" + ONLY_ANSWERS + "sets = ['bare']\n"
    assert "every token of the set bare" in complaint(with_sets(folder, bare))


def test_the_draws_of_a_set_need_a_token_with_a_weight(folder: Run) -> None:
    source = '[sources.elder]\nbase_url = "http://elder:8000/v1"\nmodel = "Big-8B"\n'
    sets = 'sets = ["elder-tokens", "baseline-tokens"]\n'
    text = TOML.format(target="embedded") + "repeats = 2\n" + source + ONLY_ANSWERS + sets
    assert "of the set baseline-tokens" in complaint(Run(folder.folder, parse_settings(text), folder.store))


def test_experts_need_a_mixture(folder: Run) -> None:
    make_tiny_model(folder.folder / "dense", layers=1)
    make_tiny_mixture(folder.folder / "mixture")
    by_experts = '[sets.wide]\nselect = "experts"\n'
    for target in ("embedded", "./dense"):
        run = with_sets(folder, by_experts, target)
        assert complaint(run) == (
            f'sets.wide.select = "experts" needs a mixture of experts, but target.model {target} is a dense model: '
            "choose another order"
        )
        assert [c.state for c in target_checks(run) if c.name == "sets"] == ["failed"]
    check_sets(with_sets(folder, by_experts, "./mixture"))


@pytest.mark.slow
def test_nothing_is_requested_before_the_check(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "target", layers=1)
    with FakeServer() as server:
        run = make_run(tmp_path / "run", server.url, target="../target", rest=MIXED.format(file="none.txt"))
        assert "there is no text file" in refused(ExitCode.USAGE, "run", run, "--until", "assemble")
        assert not server.requests
