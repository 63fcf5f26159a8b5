"""Recipes are edited in faq.toml without losing a word of it, and never into a file that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import load_settings
from faq_tui.core.settings.edit import add_recipe, move_recipe, remove_recipe
from faq_tui.core.settings.write import Choices, demo_text, init_text

HEAD = '[target]\nmodel = "m"  # ours\n[seeds]\npath = "s"\n'
NEW = {"method": "gptq", "bits": 8, "group_size": 32, "sets": ("baseline",)}
SHAPES = {
    "none written": HEAD,
    "tables": HEAD + "[[recipes]]\nbits = 4 # four\n# a note\n[[recipes]]\nbits = 8\n[judge]\nkind = 'likelihood'\n",
    "inline": "recipes = [{ bits = 4, group_size = 64 }, { bits = 8 }]\n" + HEAD,
    "demo": demo_text(),
    "init": init_text(Choices(target="org/model", seeds="seeds.jsonl")),
    "windows": demo_text().replace("\n", "\r\n"),
}


def written(folder: Path, text: str) -> Path:
    file = folder / "faq.toml"
    file.write_bytes(text.encode())
    return file


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_add_move_remove(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    before = load_settings(file)
    added = add_recipe(file, NEW)
    assert added == load_settings(file) and added.recipes[:-1] == before.recipes
    assert (added.recipes[-1].bits, added.recipes[-1].sets) == (8, ("baseline",))
    last = len(added.recipes) - 1
    assert move_recipe(file, last, -last).recipes == (added.recipes[-1], *before.recipes)
    assert move_recipe(file, 0, -1).recipes == (added.recipes[-1], *before.recipes), "at the end it stays"
    assert remove_recipe(file, 0) == before == load_settings(file)
    for comment in (line.partition("#")[2].strip() for line in text.splitlines()):
        assert comment in file.read_text()
    assert file.read_bytes().count(b"\r\n") == text.count("\r\n")


def test_the_demos_file_comes_back_byte_for_byte(tmp_path: Path) -> None:
    file = written(tmp_path, demo_text())
    add_recipe(file, NEW)
    remove_recipe(file, 1)
    assert file.read_text() == demo_text()


def test_what_the_schema_refuses_is_not_written(tmp_path: Path) -> None:
    file = written(tmp_path, demo_text())
    for values, why in (
        ({"bits": 5}, r"recipes\[2\]\.bits"),
        ({"bits": 4, "group_size": 64}, "two recipes would both write"),
        ({"bits": 8, "sets": ("nobody",)}, "no set 'nobody'"),
        ({"bist": 8}, "unknown key"),
    ):
        with pytest.raises(UsageError, match=why):
            add_recipe(file, values)
    with pytest.raises(UsageError, match="the only recipe cannot be removed"):
        remove_recipe(file, 0)
    for index in (-1, 1, 7):
        with pytest.raises(UsageError, match=r"the recipes in faq\.toml have changed"):
            move_recipe(file, index, 1)
    assert file.read_text() == demo_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["faq.toml"]


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "[[recipes]\n")
    with pytest.raises(UsageError, match="not valid TOML"):
        add_recipe(file, NEW)
    assert file.read_text().endswith("[[recipes]\n")


def test_links_and_modes_stay(tmp_path: Path) -> None:
    real = written(tmp_path, demo_text())
    real.chmod(0o640)
    link = tmp_path / "linked.toml"
    link.symlink_to(real)
    add_recipe(link, NEW)
    assert link.is_symlink() and len(load_settings(real).recipes) == 2
    assert real.stat().st_mode & 0o777 == 0o640
