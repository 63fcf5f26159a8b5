"""The language of an answer, told from its text or left open."""

from __future__ import annotations

import json

import pytest

from faq_tui.core.regenerating.language import in_another_language, language_of
from faq_tui.core.seeds.read import starter_path

STARTERS = [json.loads(line) for line in starter_path().read_text(encoding="utf-8").splitlines()]


def test_the_starter_seeds_languages_are_told_or_left_open() -> None:
    """Never a wrong one: a short question may stay without one."""
    told = {seed["id"]: (seed.get("language") or "en", language_of(seed["question"])) for seed in STARTERS}
    wrong = {name: pair for name, pair in told.items() if pair[1] not in (None, pair[0])}
    assert not wrong
    assert sum(pair[1] is not None for pair in told.values()) > 0.6 * len(told)


def test_an_answer_in_another_language_is_seen() -> None:
    english = "Why does bread rise when it is left in a warm place for an hour or two, and what would slow it down?"
    german = (
        "Das Brot geht auf, weil die Hefe in der Wärme den Zucker vergärt und dabei ein Gas bildet, das der Teig "
        "festhält. In der Kälte arbeitet sie langsamer, und auch viel Salz oder Zucker bremst sie."
    )
    assert in_another_language(english, german) == ("en", "de")
    assert in_another_language(german, german) is None
    assert in_another_language(english, "面包发酵是因为酵母在温暖的环境中分解糖分并产生气体。") == ("en", "zh")
    assert in_another_language("", german, "fr") == ("fr", "de"), "the seed file says what the question is in"


@pytest.mark.parametrize(
    "asked",
    [
        "Please translate the following sentence, which is about bread and about the people who bake it every day.",
        "How would a baker in Berlin explain in German why bread rises when it is left in a warm place for an hour?",
    ],
)
def test_a_question_that_asks_for_another_language_gets_it(asked: str) -> None:
    german = "Das Brot geht auf, weil die Hefe in der Wärme den Zucker vergärt und dabei ein Gas bildet. "
    assert in_another_language(asked, german * 3) is None


def test_code_has_no_language() -> None:
    code = "```python\nfor word in words:\n    if word not in seen:\n        seen.add(word)\n```\n" * 5
    assert language_of(code) is None and language_of("$x^2 + y^2 = z^2$") is None
