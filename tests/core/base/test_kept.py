"""Kept values: computed again when their state changes; two objects for one file do not lose each other's values."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.kept import Kept


def always() -> bool:
    return True


def test_a_value_is_computed_once_for_each_state(tmp_path: Path) -> None:
    made = iter(range(10))
    found = [Kept(tmp_path / "k.json").get("n", state, lambda: next(made), always) for state in ("a", "a", "b", "a")]
    assert found == [0, 0, 1, 2]


def test_a_value_inside_of_another_value_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    Kept(path).get("outer", 1, lambda: Kept(path).get("inner", 1, lambda: 5, always) + 1, always)
    for name, value in (("outer", 6), ("inner", 5)):
        assert Kept(path).get(name, 1, lambda: pytest.fail("computed again"), always) == value


def test_a_refused_value_is_not_kept(tmp_path: Path) -> None:
    assert Kept(tmp_path / "k.json").get("n", 1, lambda: 5, lambda: False) == 5
    assert not (tmp_path / "k.json").exists()
