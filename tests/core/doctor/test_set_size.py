"""The size of a calibration set before it is made: by max_tokens, by the questions, then by measured answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from faq_tui.core.doctor.set_size import SetSize, largest_set
from faq_tui.core.endpoints.remembered import stored_in
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.store import candidates, seeds
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.store_bench import candidate

ELDER = """
[sources.elder]
base_url = "http://127.0.0.1:9/v1"
model = "Big-8B"
sampling = { max_tokens = 100 }
"""
QUESTION = 50  # tokens of a question by its 80 characters, with 30 tokens of the template


@contextmanager
def opened(folder: Path, more: str = ELDER, count: int = 4, lines: int = 20, answer: int = 0) -> Iterator[Run]:
    """A run whose questions have 80 characters each, and original answers of `answer` characters."""
    folder.mkdir(exist_ok=True)
    (folder / "faq.toml").write_text(
        f'[target]\nmodel = "./target"\n[seeds]\npath = "q.jsonl"\ncount = {count}\nheldout = 2\n{more}'
    )
    rows = [{"question": f"{n:080}", **({"answer": "x" * answer} if answer else {})} for n in range(lines)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open_run(folder) as run:
        yield run


def choose(run: Run) -> list[str]:
    """Store four chosen seeds."""
    made = [Seed(({"role": "user", "content": f"{n:080}"},), None, f"q:{n}") for n in range(4)]
    seeds.replace_all(run.store, made)
    seeds.assign_roles(run.store, [seed.id for seed in made], [])
    return [seed.id for seed in made]


def add(run: Run, ids: list[str], tokens: int, source_hash: str = "", flags: tuple[str, ...] = ()) -> None:
    source_hash = source_hash or source_hash_of(run.settings.sources["elder"])
    for number, seed_id in enumerate(ids):
        made = candidate(1, seed_id=seed_id, source_hash=source_hash, flags=flags)
        candidates.add(run.store, replace(made, prompt_tokens=60, completion_tokens=tokens + number))


def test_before_any_answer_max_tokens_of_the_source_counts(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        assert largest_set(run) == SetSize(
            4,
            4 * (QUESTION + 100),
            QUESTION + 100,
            "at most 600 tokens in a set: 4 rows of 150 tokens (questions of about 50 tokens, and answers of elder "
            "up to max_tokens = 100)",
            at_most=True,
        )
    with opened(tmp_path, ELDER.replace("100", "5000")) as run:
        size = largest_set(run)
        assert (size.tokens, size.longest) == (4 * 2048, 2048)
        assert size.words.endswith("up to max_tokens = 5,000, cut at assemble.max_tokens = 2,048)")


def test_the_window_of_the_server_limits_an_answer(tmp_path: Path) -> None:
    with opened(tmp_path, ELDER.replace("100", "5000")) as run:
        source = run.settings.sources["elder"]
        stored_in(run.store, source.base_url, source.model).described("", 1024)
        size = largest_set(run)
        assert (size.tokens, size.longest, size.at_most) == (4 * 1024, 1024, True)
        words = "but at most 1,024 tokens together, because this is the window of its server)"
        assert size.words.endswith(f"up to max_tokens = 5,000, {words}")
        stored_in(run.store, source.base_url, source.model).described("", 4096)
        assert largest_set(run).tokens == 4 * 2048, "assemble.max_tokens is less than the window"
    several = ELDER.replace('"http://127.0.0.1:9/v1"', '["http://127.0.0.1:9/v1", "http://127.0.0.1:8/v1"]')
    with opened(tmp_path / "several", several.replace("100", "5000")) as run:
        stored_in(run.store, "http://127.0.0.1:9/v1", "Big-8B").described("", 512)
        assert largest_set(run).tokens == 4 * 2048, "the other server may have a larger window"
        stored_in(run.store, "http://127.0.0.1:8/v1", "Big-8B").described("", 1024)
        assert largest_set(run).tokens == 4 * 1024


def test_the_number_of_rows_is_at_most_that_of_the_seeds(tmp_path: Path) -> None:
    with opened(tmp_path, count=256) as run:
        assert largest_set(run).rows == 18, "two of twenty are held out"
        choose(run)
        assert largest_set(run).rows == 4, "the database knows"


def test_measured_answers_count_as_soon_as_there_are_some(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        ids = choose(run)
        add(run, ids[:2], 20)
        assert largest_set(run).words.startswith("at most"), "two answers are too few"
        add(run, ids[2:], 400, flags=("loop",))
        assert largest_set(run).words.startswith("at most"), "an unusable answer is in no set"
    with opened(tmp_path / "more") as run:
        add(run, choose(run), 20)
        words = "about 326 tokens in a set: 4 rows of 82 tokens (measured on 4 candidates of elder)"
        assert largest_set(run) == SetSize(4, 326, 83, words)
    with opened(tmp_path / "earlier") as run:
        add(run, choose(run), 20, source_hash="earlier")
        assert largest_set(run).words.endswith("(measured on 4 candidates of elder under earlier settings)")


def test_without_a_source_the_original_answers_count(tmp_path: Path) -> None:
    with opened(tmp_path, "", answer=400) as run:
        assert largest_set(run).tokens == 4 * (QUESTION + 100)
        assert "questions with their original answers" in largest_set(run).words
    recipe = '[[recipes]]\nsets = ["baseline"]\n'
    with opened(tmp_path / "plain", ELDER + recipe) as run:
        assert largest_set(run).tokens == 4 * QUESTION, "no recipe uses the answers of elder"
    more = '[sets.mixed]\nmade_from = { elder = 1.0 }\n[[recipes]]\nsets = ["mixed"]\n'
    with opened(tmp_path / "mixed", ELDER + more) as run:
        assert largest_set(run).tokens == 4 * (QUESTION + 100)


@pytest.mark.parametrize("path", ["gone.jsonl", "someone/questions", "*.csv"])
def test_seeds_that_cannot_be_read_now(tmp_path: Path, path: str) -> None:
    with opened(tmp_path) as run:
        other = run.settings.seeds.model_copy(update={"path": path})
        run = replace(run, settings=run.settings.model_copy(update={"seeds": other}))
        words = "at most 8,192 tokens in a set: the seeds are not read yet, so each of the 4 rows counts with "
        assert largest_set(run) == SetSize(4, 8192, 2048, f"{words}assemble.max_tokens = 2,048", True)


def test_an_assembled_set_is_no_estimate(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        for name, tokens in (("baseline", 700), ("elder", 900)):
            add_set(run.store, SetRow(name, f"hash-{name}", 4, tokens, tokens, 0, {}))
        assert largest_set(run) == SetSize(4, 900, 900, "900 tokens in set elder")
