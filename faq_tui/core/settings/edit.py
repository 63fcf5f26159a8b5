"""Change the recipes in a run's `faq.toml`, and keep the comments in the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import full_disk_is_clear
from faq_tui.core.settings.load import load_settings, parse_settings
from faq_tui.core.settings.recipe import combinations, default_recipe
from faq_tui.core.settings.schema import Settings

Recipes = list[Table]


def add_recipe(path: Path, values: Mapping[str, Any]) -> Settings:
    """Add a recipe at the end of the list.

    Raises UsageError, and leaves the file unchanged, if the recipe is invalid.
    """

    def add(recipes: Recipes) -> None:
        recipes.append(_table(values))

    return _edit(path, add)


def remove_recipe(path: Path, index: int) -> Settings:
    """Remove the recipe at `index` (0-based). Raises UsageError if the file has only one recipe."""

    def remove(recipes: Recipes) -> None:
        _spread_out(recipes)
        if len(recipes) == 1:
            raise UsageError("the only recipe cannot be removed: add another recipe first")
        del recipes[_known(recipes, index)]

    return _edit(path, remove)


def move_recipe(path: Path, index: int, by: int) -> Settings:
    """Move the recipe at `index` up (`by` < 0) or down.

    If the recipe is already the first or the last, nothing changes.
    """

    def move(recipes: Recipes) -> None:
        _spread_out(recipes)
        recipe = recipes.pop(_known(recipes, index))
        recipes.insert(max(0, min(len(recipes), index + by)), recipe)

    return _edit(path, move)


def _spread_out(recipes: Recipes) -> None:
    """Split each `[[recipes]]` table that has lists into one table per recipe, so that table n is recipe n."""
    single: Recipes = []
    for table in recipes:
        single_recipes = combinations(table.unwrap())
        single.extend(
            [table]
            if len(single_recipes) == 1 and single_recipes[0] == table.unwrap()
            else map(_table, single_recipes)
        )
    recipes[:] = single


def _known(recipes: Recipes, index: int) -> int:
    if not 0 <= index < len(recipes):
        raise UsageError("the recipes in faq.toml have changed: look at them and try again")
    return index


def _edit(path: Path, change: Callable[[Recipes], None]) -> Settings:
    """Read, change and check the file, then write it atomically."""
    path = path.resolve()  # if the path is a link, edit the file that it points to
    load_settings(path)  # raises UsageError if the file is broken, so that a broken file is not edited
    before = path.read_bytes()
    document = tomlkit.parse(before.decode("utf-8-sig"))
    recipes = _recipes(document)
    change(recipes)
    _put(document, recipes)
    edited = tomlkit.dumps(document)
    settings = parse_settings(edited, str(path), path.parent)
    if path.read_bytes() != before:
        raise UsageError(f"{path} was changed by another program at the same time: try again")
    replace_text(path, edited)
    return settings


def _recipes(document: tomlkit.TOMLDocument) -> Recipes:
    recipes = document.get("recipes")
    if recipes is None:
        # The file has no recipes, so start from the default.
        default = default_recipe().model_dump(include={"method", "bits", "group_size"})
        return [_table(default)]
    if isinstance(recipes, AoT):
        return list(recipes)
    return [_table(dict(item)) for item in recipes]


def _put(document: tomlkit.TOMLDocument, recipes: Recipes) -> None:
    """Write the list of recipes back into the document, with an empty line after each recipe."""
    array = tomlkit.aot()
    for recipe in recipes:
        separated = not array or array[-1].as_string().endswith("\n\n")
        array.append(recipe)
        recipe.trivia.indent = "" if separated else "\n"
    if not recipes[-1].as_string().endswith("\n\n"):
        recipes[-1].add(tomlkit.nl())
    if "recipes" in document:
        if not isinstance(document["recipes"], AoT):
            # If `recipes` is an inline array, other keys may follow it. `[[recipes]]` tables cannot be written before
            # these keys, so the list moves to the end.
            del document["recipes"]
            document.append("recipes", array)
        else:
            document["recipes"] = array
    else:
        document.append("recipes", array)


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        if value is not None:
            table[key] = list(value) if isinstance(value, tuple) else value
    return table


def replace_text(path: Path, text: str, mark: bytes = b"") -> None:
    """Write the file anew, atomically. `mark` is the byte order mark of the file. Raises UsageError."""
    half = path.with_name(f".{path.name}.half")
    with full_disk_is_clear(path):
        try:
            half.write_bytes(
                mark + text.encode()
            )  # the text is written as bytes, so that line endings stay unchanged
            shutil.copymode(path, half)
            half.replace(path)
        except PermissionError:
            raise UsageError(
                f"{path} cannot be written, because the file or its folder is read-only: change its permissions"
            ) from None
        finally:
            half.unlink(missing_ok=True)
