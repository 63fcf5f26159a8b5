"""The settings that the answers become, and the folders in which a run can be created."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import EMBEDDED, load_settings, parse_settings
from faq_tui.core.settings.write import Choices, init_text
from faq_tui.core.setup import Draft, create_run, draft_text
from faq_tui.core.setup.draft import checked_folder, draft_run


def test_the_answers_become_settings_with_comments(tmp_path: Path) -> None:
    draft = Draft(
        "Qwen/Qwen3-8B", "starter", "server", "http://elder:8000/v1", "Big", "KEY", "spqr", 3, 64, 40, 8,
        "http://judge:8000/v1", "Judge",
    )  # fmt: skip
    path = create_run(draft, tmp_path / "new" / "run")
    settings = load_settings(path)
    elder = settings.sources["elder"]
    assert (elder.base_url, elder.model, elder.api_key_env) == ("http://elder:8000/v1", "Big", "KEY")
    (recipe,) = settings.recipes
    assert (recipe.method, recipe.bits, recipe.group_size) == ("spqr", 3, 64)
    assert (settings.seeds.count, settings.seeds.heldout, settings.judge.kind) == (40, 8, "llm")
    assert path.read_text().count("#") > 50, "every key has its comment"


def test_the_target_itself_can_be_the_source() -> None:
    local = tomllib.loads(draft_text(Draft("Qwen/Qwen3-8B", "starter", "self")))["sources"]["self"]
    assert (local["base_url"], local["model"]) == ("local", "target")
    embedded = tomllib.loads(draft_text(Draft("embedded", "starter", "self")))["sources"]["self"]
    assert embedded["base_url"] == "embedded"
    assert "sources" not in tomllib.loads(draft_text(Draft("Qwen/Qwen3-8B", "starter", "none")))


@pytest.mark.parametrize("method", ["gptq", "gptaq", "awq", "spqr", "w8a8"])
def test_every_method_gets_a_group_size_that_it_has(method: str) -> None:
    from faq_tui.core.settings.recipe import model_of

    bits = model_of(method).choices("bits")[0]
    with draft_run(Draft("embedded", "starter", "self", method=method, bits=bits)) as run:
        assert run.settings.recipes[0].group_size in model_of(method).choices("group_size")


def test_defaults_write_what_init_always_wrote() -> None:
    plain = init_text(Choices("Qwen/Qwen3-8B", "starter"))
    assert draft_text(Draft("Qwen/Qwen3-8B", "starter", "none")) == plain


def test_an_answer_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        draft_text(Draft("a/\udcff", "starter", "none"))


def test_where_a_run_can_be_created(tmp_path: Path) -> None:
    assert checked_folder(" my-run ", tmp_path) == tmp_path / "my-run"
    (tmp_path / "file").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "faq.toml").touch()
    for name, why in (
        (" ", "type a name"),
        ("run", "is a run already"),
        ("file", "is a file"),
        ("file/below", "is a file"),
        ("x" * 300, "cannot be a folder"),
        ("a\0b", "type a name"),
    ):
        with pytest.raises(UsageError, match=why):
            checked_folder(name, tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written .*: choose another folder"):
        create_run(Draft("embedded", "starter", "self"), Path("/proc/no"))


def test_a_short_run_measures_less_and_its_settings_say_how_to_measure_more() -> None:
    draft = Draft("Qwen/Qwen3-8B", "starter", "none")
    usual, text = parse_settings(draft_text(draft)), draft_text(replace(draft, short=True))
    short = parse_settings(text)
    evaluate = short.evaluate
    assert (evaluate.window, evaluate.prose_tokens, evaluate.answer_tokens) == (256, 4096, 128)
    assert short.activations.tokens == 2048
    lines = text.splitlines()
    for section in ("[evaluate]", "[activations]"):
        head = next(place for place, line in enumerate(lines) if line.startswith(section))
        assert lines[head - 2].startswith("# This machine has no GPU, so fewer tokens than usual are measured.")
        for key, value in re.findall(r"(\w+) = (\d+)", lines[head - 1]):  # the comment states the usual values
            text = re.sub(rf"(?m)^{key} = \d+", f"{key} = {value}", text)
    assert parse_settings(text) == usual


def test_a_short_run_makes_the_two_models_of_the_fair_comparison() -> None:
    draft = Draft(EMBEDDED, "starter", url="http://127.0.0.1:9/v1", model="elder-7b")
    assert parse_settings(draft_text(draft)).recipes[0].sets is None
    short = replace(draft, short=True)
    assert parse_settings(draft_text(short)).recipes[0].sets == ("elder-tokens", "baseline-tokens")
    alone = replace(short, target="Qwen/Qwen3-8B", origin="none")
    assert parse_settings(draft_text(alone)).recipes[0].sets is None, "without a source, no set has a twin"
