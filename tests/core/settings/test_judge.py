"""Which kinds mark, and which of them pick."""

from __future__ import annotations

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings import JudgeSettings, parse_settings

HEAD = '[target]\nmodel = "x/y"\n[seeds]\npath = "s.jsonl"\n[judge]\n'
LLM = 'base_url = "http://j/v1"\nmodel = "J"\n'


def judge(text: str) -> JudgeSettings:
    return parse_settings(HEAD + text).judge


@pytest.mark.parametrize(
    ("text", "kinds", "picks_by"),
    [
        ("", ("likelihood",), "likelihood"),
        ('columns = ["activation", "likelihood"]', ("likelihood", "activation"), "likelihood"),
        (f'kind = "llm"\n{LLM}columns = ["activation"]', ("llm", "activation"), "llm"),
        ("pick_by = { activation = 2 }", ("likelihood", "activation"), "activation"),
        ("pick_by = { activation = -1 }", ("likelihood", "activation"), "mix"),  # the least of it picks
        (f'kind = "llm"\n{LLM}pick_by = {{ llm = 1, likelihood = 0.5 }}', ("llm", "likelihood"), "mix"),
    ],
)
def test_which_kinds_mark_and_which_pick(text: str, kinds: tuple[str, ...], picks_by: str) -> None:
    found = judge(text)
    assert (found.kinds(), found.picks_by) == (kinds, picks_by)


@pytest.mark.parametrize("text", ['kind = "llm"', 'columns = ["llm"]', "pick_by = { llm = 1 }"])
def test_an_llm_needs_a_server_wherever_it_is_named(text: str) -> None:
    with pytest.raises(UsageError, match='`judge`: kind "llm" needs the keys `base_url` and `model`'):
        judge(text)


@pytest.mark.parametrize(
    ("url", "why"), [("j:8000/v1", "must begin with http:// or https://"), ("local", 'kind "llm" needs a server')]
)
def test_the_judges_url_is_checked_with_the_settings(url: str, why: str) -> None:
    with pytest.raises(UsageError, match=r"`judge\.base_url`") as error:
        judge(f'kind = "llm"\nbase_url = "{url}"\nmodel = "J"')
    assert why in str(error.value)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(UsageError, match=r"`judge\.columns\[1\]`: input should be 'llm', 'likelihood' or"):
        judge('columns = ["length"]')


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        ("{ length = 1 }", "`judge.pick_by`: there is no judge 'length'; the judges are llm, likelihood, activation"),
        ("{ likelihood = 0 }", "`judge.pick_by`: the weight of likelihood must be a number other than 0"),
        ("{ likelihood = nan }", "`judge.pick_by`: the weight of likelihood must be a number other than 0"),
    ],
)
def test_weights_are_checked(weights: str, why: str) -> None:
    with pytest.raises(UsageError) as error:
        judge(f"pick_by = {weights}")
    assert why in str(error.value)
