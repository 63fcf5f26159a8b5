"""Seeds of several files, and tokens of the target's own template in the preview."""

from __future__ import annotations

import json
import sqlite3
from itertools import chain
from pathlib import Path

import pytest
from textual.widgets import OptionList

from faq_tui.core.models.tokenizer import special_tokens
from faq_tui.core.store import seed_pages
from faq_tui.core.store.seed_pages import SeedFilter, View
from faq_tui.tui.panes.seeds.filters import groups, in_words, narrowed
from faq_tui.tui.panes.seeds.preview import SeedPreview
from faq_tui.tui.widgets.marked import any_family, marked, spelled
from tests.support.app_host import app_on, text_of, until
from tests.support.judged_run import make_judged_run
from tests.support.pane_runs import bare_run


def test_seeds_are_told_apart_by_their_file(tmp_path: Path) -> None:
    with bare_run(tmp_path / "run", 30) as run:
        run.store.db.execute("UPDATE seeds SET origin = 'more 2024:1.jsonl:' || position WHERE position >= 20")
        assert seed_pages.origins(run.store.db) == ["more 2024:1.jsonl", "s"]
        of_one = list(seed_pages.matches(run.store.db, View(), SeedFilter(file="more 2024:1.jsonl")))
        assert list(chain.from_iterable(of_one)) == list(range(20, 30))
        assert not list(seed_pages.matches(run.store.db, View(), SeedFilter(file="more 2024")))


def test_the_menu_has_files_only_where_there_are_several() -> None:
    def names(files: list[str], now: SeedFilter) -> list[str]:
        return [group.name for group in groups(now, [], files, [])]

    assert "File" not in names(["a.jsonl"], SeedFilter())
    assert "File" in names(["a.jsonl", "b.jsonl"], SeedFilter())
    chosen = narrowed(SeedFilter(), "File", "b.jsonl")
    assert chosen.file == "b.jsonl" and "from b.jsonl" in in_words(chosen)
    assert "File" in names(["a.jsonl"], chosen), "it must be possible to take it back"


async def test_a_file_is_chosen_in_the_menu(tmp_path: Path) -> None:
    folder = make_judged_run(tmp_path / "run", reserve=30)
    with sqlite3.connect(folder / "faq.db") as db:
        db.execute("UPDATE seeds SET origin = 'other.jsonl:' || position WHERE position >= 30")
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "31 unused" in text_of(app))
        await pilot.press("f")
        options = app.screen.query_one(OptionList)
        prompts = [str(options.get_option_at_index(n).prompt).strip() for n in range(options.option_count)]
        options.highlighted = next(n for n, prompt in enumerate(prompts) if prompt == "other.jsonl")
        await pilot.press("enter")
        await until(pilot, lambda: "from other.jsonl: 6 of 36 seeds" in text_of(app))


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_tokens_are_those_of_the_targets_files(tmp_path: Path, name: str) -> None:
    entries = [
        {"id": 1, "content": "[TURN]", "special": True},
        {"id": 2, "content": "<think>", "special": False},
        {"id": 3, "content": "hello", "special": False},
        {"id": 4, "content": " ", "special": True},
    ]
    body = {"added_tokens": entries, "model": {"vocab": {"a": 0}}}
    if name == "tokenizer_config.json":
        body = {"added_tokens_decoder": {str(entry["id"]): entry for entry in entries}}
    with bare_run(tmp_path / "run") as run:
        assert special_tokens(run) == frozenset()
        (tmp_path / "run/target" / name).write_text(json.dumps(body))
        found = special_tokens(run)
    assert found == {"[TURN]", "<think>"}
    text = marked("[TURN]hello <think> <|im_start|>", spelled(found))
    assert [text.plain[span.start : span.end] for span in text.spans if span.style] == ["[TURN]", "<think>"]


@pytest.mark.parametrize("broken", ["", "[", "[1, 2]", '{"added_tokens": [', '{"added_tokens": {"a": 1}}'])
def test_broken_files_tell_nothing(tmp_path: Path, broken: str) -> None:
    with bare_run(tmp_path / "run") as run:
        for name in ("tokenizer_config.json", "tokenizer.json"):
            (tmp_path / "run/target" / name).write_text(broken)
        assert special_tokens(run) == frozenset()
    assert spelled(frozenset()) is any_family()


async def test_the_preview_marks_the_targets_own(tmp_path: Path) -> None:
    folder = make_judged_run(tmp_path / "run")
    target = tmp_path / "target"
    target.mkdir()
    (target / "config.json").write_text("{}")
    tokens = {"added_tokens_decoder": {"1": {"content": "user", "special": True}}}
    (target / "tokenizer_config.json").write_text(json.dumps(tokens))
    settings = folder / "faq.toml"
    lines = settings.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("model") and "[target]" in lines[:n])
    lines[place] = f'model = "{target}"'
    settings.write_text("\n".join(lines))
    app = app_on(folder)

    def styled() -> set[str]:
        text = app.query_one(SeedPreview).query_one("#seed-text").content  # type: ignore[attr-defined]
        return {text.plain[span.start : span.end] for span in text.spans if "magenta" in str(span.style)}

    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: styled() == {"user"})
