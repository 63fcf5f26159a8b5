"""How many draws an interval needs: the formula of the bootstrap, solved for the number of draws."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faq_tui.core.assembly.draws import Overlap
from faq_tui.core.evidence.draws_needed import MOST, WIDTHS, draws_needed, half_width
from faq_tui.core.evidence.model import Comparison, MetricOutcome
from faq_tui.core.report.repeats import draw_lines, draw_sentences
from faq_tui.core.settings.evaluate import Evaluate
from faq_tui.core.settings.target import Seeds
from faq_tui.core.stats.bootstrap import Estimate
from faq_tui.core.stats.t_distribution import quantile

KINDS = {"pydoc": "prose"}


def comparison(half: float, spread: float | None, draws: int, equal: str = "tokens", **more: Any) -> Comparison:
    difference = Estimate(0.0, -half, half)
    outcome = MetricOutcome(1.0, 1.0, difference, None, 0.5, 0.5, "within noise", spread)
    sizes = {"our_samples": 1, "our_tokens": 1, "baseline_samples": 1, "baseline_tokens": 1}
    values = {"recipe": "gptq", "source": "elder", "ours": "a", "baseline": "b", "same": False, **sizes, **more}
    return Comparison(equal=equal, draws=draws, texts={"pydoc": {"kl": outcome}}, **values)


@settings(deadline=None)
@given(st.floats(1e-4, 0.2), st.floats(1e-4, 0.2), st.integers(2, MOST))
def test_the_number_of_draws_is_the_smallest_that_suffices(of_items: float, spread: float, draws: int) -> None:
    half = half_width(of_items, spread, draws, None)
    (found,) = draws_needed([comparison(half, spread, draws)], KINDS, None, 60.0)
    assert found.half_width == pytest.approx(half) and not found.assumed
    for wanted in found.wanted:
        if wanted.draws is not None:
            assert half_width(of_items, spread, wanted.draws, None) <= wanted.share * (1 + 1e-6)
            assert wanted.draws == 2 or half_width(of_items, spread, wanted.draws - 1, None) > wanted.share * (
                1 - 1e-6
            )
            assert wanted.seconds == max(0, wanted.draws - draws) * 60.0
        elif wanted.lacking == "items":
            assert of_items >= wanted.share * (1 - 1e-6)
        else:
            assert wanted.lacking == "draws" and half_width(of_items, spread, MOST, None) > wanted.share * (1 - 1e-6)


def test_an_interval_that_is_cut_still_gives_the_whole_error_of_the_items() -> None:
    of_items, spread = 0.04, 0.001
    whole = comparison(half_width(of_items, spread, 2, None), spread, 2)
    outcome = whole.texts["pydoc"]["kl"]
    cut = replace(outcome, difference=Estimate(0.0, -0.01, 0.01), whole_half=outcome.difference.high)
    (one,), (other,) = (
        draws_needed([made], KINDS, None, None) for made in (whole, replace(whole, texts={"pydoc": {"kl": cut}}))
    )
    assert one.wanted == other.wanted and other.half_width == 0.01


def test_the_formula() -> None:
    t = quantile(0.025, 3)
    assert half_width(0.3, 0.2, 4, None) == pytest.approx(math.hypot(0.3, t * 0.2 / 2))
    shared = Overlap(80, 100)
    assert half_width(0.0, 0.2, 4, shared) == pytest.approx(t * 0.1 * shared.widening(4))


def test_shared_seeds_may_need_more_seeds() -> None:
    spread = 0.01
    shared = Overlap(90, 100)
    (found,) = draws_needed([comparison(half_width(0, spread, 3, shared), spread, 3)], KINDS, shared, None)
    assert [wanted.lacking for wanted in found.wanted][-1] == "seeds"
    assert all(wanted.seconds is None for wanted in found.wanted)


def test_one_draw_takes_the_spread_of_our_own_tests() -> None:
    (found,) = draws_needed([comparison(0.001, None, 1)], KINDS, None, 120.0)
    assert found.assumed and found.spread == pytest.approx(0.01)
    assert [wanted.share for wanted in found.wanted] == list(WIDTHS)
    assert draws_needed([comparison(0.001, None, 1)], {"pydoc": "answers"}, None, None)
    same = comparison(0.001, None, 1, same=True)
    assert draws_needed([same], KINDS, None, None) == ()


def test_only_equal_tokens_if_there_are_any() -> None:
    both = [comparison(0.1, 0.01, 3, "samples"), comparison(0.1, 0.01, 3)]
    assert [found.equal for found in draws_needed(both, KINDS, None, None)] == ["tokens"]
    assert [found.equal for found in draws_needed(both[:1], KINDS, None, None)] == ["samples"]


def body_of(*made: Comparison) -> dict[str, Any]:
    found = draws_needed(made, KINDS, None, 240.0)
    return {"draws_needed": [asdict(one) for one in found], "texts": [{"name": "pydoc", "title": "pydoc"}]}


def test_the_sentence_names_draws_and_time() -> None:
    half = half_width(0.015, 0.02, 3, None)
    assert draw_sentences(body_of(comparison(half, 0.02, 3))) == [
        "KL on pydoc: ±5.2% after 3 draws; ±5% needs 4 draws, about 4 min more; ±2% needs 12 draws, about 36 min "
        "more; ±1% needs more held-out items (raise `evaluate.prose_tokens`)."
    ]
    (line,) = [one for one in draw_lines(body_of(comparison(0.03, None, 1))) if one.startswith("- ")]
    assert "±3% after 1 draw. One draw does not show how much draws differ." in line
    assert "If they differ as much as in our own tests, ±5% needs 3 draws" in line
    assert line.endswith("±2% and ±1% need more held-out items (raise `evaluate.prose_tokens`).")
    assert draw_lines(body_of()) == []
    hostile = body_of(comparison(0.03, None, 1))
    hostile["texts"][0]["title"] = "`<b>"
    assert any(r"KL on \`\<b\>: " in one for one in draw_lines(hostile)), "the names of texts are escaped"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("answers", "seeds.heldout"),
        ("answers:elder", "seeds.heldout"),
        ("greedy", "seeds.heldout"),
        ("pydoc", "evaluate.prose_tokens"),
        ("words:pydoc", "evaluate.word_documents"),
        ("choices:starter", "evaluate.items"),
        ("last_word:starter", "evaluate.items"),
    ],
)
def test_three_widths_are_one_phrase_with_the_setting_of_the_text(text: str, setting: str) -> None:
    needed = asdict(draws_needed([comparison(0.25, 0.01, 2)], KINDS, None, None)[0])
    body = {"draws_needed": [{**needed, "text": text}], "texts": [{"name": text, "title": text}]}
    (sentence,) = draw_sentences(body)
    assert f"±5%, ±2% and ±1% need more held-out items (raise `{setting}`" in sentence
    section, _, key = setting.partition(".")
    assert key in {"seeds": Seeds.model_fields, "evaluate": Evaluate.model_fields}[section]
