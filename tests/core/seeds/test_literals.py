"""Python's own form of lists and objects, as pandas writes it into tables."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.seeds.literals import LONGEST, python_literal

TURNS = [{"role": "user", "content": 'It\'s "one" --\n(two]?'}, {"role": "assistant", "content": "yes"}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (repr(TURNS), TURNS),
        (repr(TURNS).replace("}, {", "}\n {"), TURNS),
        (repr({"messages": TURNS, "n": 3, "x": None, "ok": True, "w": -0.5}), None),
        ("[('a', 1)]", [("a", 1)]),
    ],
    ids=["list", "numpy", "dict", "tuple"],
)
def test_what_python_has_written_is_read(text: str, value: Any) -> None:
    expected = value if value is not None else {"messages": TURNS, "n": 3, "x": None, "ok": True, "w": -0.5}
    assert python_literal(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[print('x')]",
        "['a'.join('b')]",
        "[" * 90 + "''" + "]" * 90,
        "[" + "-" * 5000 + "1, '']",
        "[" + "- " * 5000 + "1, '']",
        "['a" * 5000,
        "['" + "a" * LONGEST + "']",
        "{'a': nan}",
        "it's [one]",
        "['a' 'b' for x in y]",
    ],
)
@pytest.mark.timeout(20)
def test_other_text_is_not_parsed(text: str) -> None:
    assert python_literal(text) is None
