"""A judge's reply becomes marks from 1 to 10 or none; marks are made comparable; the pick is the best of the fit."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.judging.derive import length_controlled, mixed, slope_of, z_scores
from faq_tui.core.judging.llm_client import orders
from faq_tui.core.judging.picking import best_candidate
from faq_tui.core.judging.prompt import shorten, tokens
from faq_tui.core.judging.reliability import bias_of
from faq_tui.core.judging.reply import ALONE, PARTS, InvalidReplyError, example, parse_by_schema, salvage, schema
from faq_tui.core.stats.auc import auc, interval
from faq_tui.core.store.candidates import Candidate

KEYS = st.sampled_from(["A", "B", "overall", "score", "reason", *PARTS, "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)
NUMBERS = st.integers() | st.floats() | st.integers(-2, 12)
SPELLED = st.sampled_from([": ", " is ", " (1-10): ", "** ", " = "])
REPLIES = (
    st.text(max_size=60)
    | JSON.map(json.dumps)
    | st.builds("Overall{}{}{}".format, SPELLED, NUMBERS, st.text())
    | st.builds("A: {} B{}{}".format, NUMBERS, SPELLED, NUMBERS)
    | st.builds("{}{}{}".format, st.text(max_size=9), JSON.map(json.dumps), st.text(max_size=9))
)
ALL_LABELS = st.sampled_from([(ALONE,), ("A", "B"), ("A", "B", "C")])
MARK = st.integers(1, 10)


def entries(marks: Any) -> Any:
    names = ("reason", *PARTS, "overall")
    return st.tuples(st.text(max_size=20), *[marks] * 5).map(lambda values: dict(zip(names, values, strict=True)))


@given(REPLIES, ALL_LABELS)
def test_any_reply_is_marks_in_range_or_none(raw: str, labels: tuple[str, ...]) -> None:
    found = salvage(raw, labels)
    assert set(found) <= set(labels)
    for verdict in found.values():
        assert all(1.0 <= mark <= 10.0 for mark in (verdict.overall, *verdict.parts.values()))
    try:
        whole = parse_by_schema(raw, labels)
    except InvalidReplyError as error:
        assert str(error)
    else:
        assert set(whole) == set(labels) and whole == found  # what fits needs no salvage, and none changes it


@given(st.lists(entries(MARK), min_size=1, max_size=4), st.booleans())
def test_a_reply_by_the_schema_is_read_exactly(bodies: list[dict[str, Any]], in_prose: bool) -> None:
    labels = (ALONE,) if len(bodies) == 1 else tuple("ABCD"[: len(bodies)])
    raw = json.dumps(bodies[0] if labels == (ALONE,) else dict(zip(labels, bodies, strict=True)))
    found = parse_by_schema(f"Here it is:\n```json\n{raw}\n```" if in_prose else raw, labels)
    for label, body in zip(labels, bodies, strict=True):
        assert found[label].overall == body["overall"] and found[label].reason == body["reason"]
        assert found[label].parts == {part: body[part] for part in PARTS}


@given(st.lists(entries(st.integers(-3, 14)), min_size=2, max_size=3))
def test_by_schema_agrees_with_the_schema_that_is_sent(bodies: list[dict[str, Any]]) -> None:
    import jsonschema

    labels = tuple("ABC"[: len(bodies)])
    body = dict(zip(labels, bodies, strict=True))
    valid = jsonschema.Draft202012Validator(schema(labels)).is_valid(body)
    try:
        parse_by_schema(json.dumps(body), labels)
    except InvalidReplyError:
        assert not valid
    else:
        assert valid


def test_the_form_that_the_prompt_shows_is_that_of_the_schema() -> None:
    for labels in ((ALONE,), ("A", "B", "C")):
        shown = json.loads(example(labels).replace("<1 to 10>", "5"))
        import jsonschema

        jsonschema.validate(shown, schema(labels))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "it was empty"),
        ("Nine.", "it holds no JSON object"),
        ('{"B": {}}', "A is missing"),
        ('{"A": 8, "B": 7}', "A is not an object"),
        ('{"A": {"correctness": 11}}', "A.correctness is 11, not a number from 1 to 10"),
        ('{"A": {"correctness": NaN}}', "A.correctness is nan, not a number from 1 to 10"),
        ('{"A": {"correctness": true}}', "A.correctness is True, not a number from 1 to 10"),
        ('{"A": {"correctness": [[]]}}', "A.correctness is list, not a number from 1 to 10"),
    ],
)
def test_why_a_reply_does_not_fit_is_said(body: str, why: str) -> None:
    with pytest.raises(InvalidReplyError) as error:
        parse_by_schema(body, ("A", "B"))
    assert str(error.value) == why


@pytest.mark.parametrize(
    ("raw", "score"),
    [
        ('{"overall": 7, "reason": "ok"}', 7.0),
        ('{"overall": 7.5}', 7.5),
        ('{"score": "8"}', 8.0),
        ('{"overall": "8/10"}', 8.0),
        ('{"overall": true}', None),
        ('{"overall": 0}', None),
        ('{"overall": NaN}', None),
        ('{"overall": 1' + "0" * 400 + "}", None),
        ('{"overall": "great"}', None),
        ('{"reason": "cut off by max_tokens", "form": 3, "overall": 6', 6.0),
        ("Sound. **Overall: 9/10**", 9.0),
        ("First score: 3. On reflection, score: 6", 6.0),
        ("Overall: 100", None),
        ("Score (1-10): 8", None),  # a scale is no mark
        ("Score: 1 to 10", None),
        ("", None),
        ("{" * 5000, None),
        ('{"overall": 5, "reason": ' + "[" * 600 + "]" * 600 + "}", 5.0),
        ("1" * 5000, None),
    ],
)
def test_what_is_salvaged_of_one(raw: str, score: float | None) -> None:
    found = salvage(raw, (ALONE,))
    assert (found[ALONE].overall if found else None) == score


@pytest.mark.parametrize(
    ("raw", "scores"),
    [
        ('{"A": {"overall": 3}, "B": {"overall": "9/10"}}', {"A": 3.0, "B": 9.0}),
        ('{"A": 3, "B": 8}', {"A": 3.0, "B": 8.0}),
        ("A: 3/10, B: 8/10", {"A": 3.0, "B": 8.0}),
        ("**A** - a good answer. Overall: 7\n**B** - form 2, overall 4", {"A": 7.0, "B": 4.0}),
        ('{"A": {"reason": "x", "overall": 3}, "B": {"reason": "cut', {"A": 3.0}),
        ("A good answer, and B is not.", {}),
        ('{"B": {"overall": 4}}', {"B": 4.0}),
    ],
)
def test_what_is_salvaged_of_two(raw: str, scores: dict[str, float]) -> None:
    assert {label: verdict.overall for label, verdict in salvage(raw, ("A", "B")).items()} == scores


@given(st.integers(2, 9), st.text(max_size=5))
def test_orders_are_two_permutations_without_a_shared_place(count: int, key: str) -> None:
    first, second = orders(count, key)
    assert sorted(first) == sorted(second) == list(range(count))
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert orders(count, key) == (first, second)


def test_every_answer_comes_first_as_often() -> None:
    firsts = [order[0] for key in range(600) for order in orders(3, str(key))]
    assert all(330 < firsts.count(index) < 470 for index in range(3))


def test_bias_by_hand() -> None:
    """Answer by answer (place, mark) in both orders."""
    turned = [[(0, 9.0), (1, 4.0)], [(1, 5.0), (0, 8.0)]]  # each order has its own winner; means 6.5, 6.5
    steady = [[(0, 9.0), (1, 9.0)], [(1, 2.0), (0, 4.0)]]
    level = [[(0, 5.0), (1, 5.0)], [(1, 5.0), (0, 5.0)]]
    half = [[(0, 9.0), (1, 7.0)], [(1, 5.0), (0, 7.0)]]  # one winner in one order, a tie in the other: not changed
    bias = bias_of([turned, steady, level, half])
    assert (bias.groups, bias.changed, bias.tied) == (4, 1, 2)
    assert bias.by_place == ((9 + 8 + 9 + 4 + 5 + 5 + 9 + 7) / 8, (4 + 5 + 9 + 2 + 5 + 5 + 7 + 5) / 8)


@given(st.lists(st.integers(1, 10), min_size=1, max_size=12), st.lists(st.integers(1, 10), min_size=1, max_size=12))
def test_auc_counts_pairs_and_lies_in_its_interval(better: list[int], worse: list[int]) -> None:
    value = auc(better, worse)
    wins = sum(1.0 if b > w else 0.5 if b == w else 0.0 for b in better for w in worse)
    assert value == pytest.approx(wins / (len(better) * len(worse)))
    assert auc(worse, better) == pytest.approx(1 - value)
    low, high = interval(value, len(better), len(worse))
    assert 0.0 <= low <= value <= high <= 1.0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two normal distributions one and a half standard deviations apart: AUC = Phi(1.5 / sqrt(2))."""
    import random

    dice = random.Random(5)
    truth = 0.5 * (1 + math.erf(1.5 / 2))
    covered = 0
    for _ in range(400):
        real, other = [dice.gauss(1.5, 1) for _ in range(8)], [dice.gauss(0, 1) for _ in range(16)]
        low, high = interval(auc(real, other), 8, 16)
        covered += low <= truth <= high
    assert 0.91 <= covered / 400 <= 1.0
    assert interval(1.0, 8, 16)[0] < 0.95  # told apart without an error is not certainty


def test_length_control_takes_the_slope_within_seeds_off() -> None:
    """Marks made of a seed's own level, 0.3 a unit of log length, and a part of their own."""
    groups = [[3 * s, 3 * s + 1, 3 * s + 2] for s in range(6)]
    lengths = {i: (20, 60, 180)[i % 3] * (1 + i // 9) for group in groups for i in group}
    own = {i: (0.01, -0.02, 0.01)[i % 3] * (-1) ** (i // 3) for i in lengths}  # without a slope of its own
    level = {i: -2.0 - 0.5 * (i // 3) for i in lengths}
    values = {i: level[i] + own[i] + 0.3 * math.log(lengths[i]) for i in lengths}
    assert slope_of(values, lengths, groups) == pytest.approx(0.3)
    found, slope = length_controlled(values, lengths, groups)
    assert slope == pytest.approx(0.3)
    centre = sum(map(math.log, lengths.values())) / len(lengths)
    assert found == pytest.approx({i: level[i] + own[i] + 0.3 * centre for i in lengths})


def test_length_control_needs_enough_candidates_of_several_lengths() -> None:
    assert length_controlled({1: -1.0, 2: -2.0}, {1: 10, 2: 20}, [[1, 2]]) == ({1: -1.0, 2: -2.0}, None)
    same = dict.fromkeys(range(12), 30)
    values = {i: -float(i) for i in same}
    assert length_controlled(values, same, [[3 * s, 3 * s + 1, 3 * s + 2] for s in range(4)]) == (values, None)


def test_z_scores_by_hand() -> None:
    """Seed one: 1, 3; seed two: 5, 5, 8. Deviations -1, 1, -1, -1, 2: s = sqrt(8 / 5)."""
    s = math.sqrt(8 / 5)
    found = z_scores({1: 1.0, 2: 3.0, 3: 5.0, 4: 5.0, 5: 8.0, 6: 4.0}, [[1, 2], [3, 4, 5], [6]])
    assert found == pytest.approx({1: -1 / s, 2: 1 / s, 3: -1 / s, 4: -1 / s, 5: 2 / s, 6: 0.0})
    assert z_scores({1: 4.0, 2: 4.0}, [[1, 2]]) == {1: 0.0, 2: 0.0}


def test_mix_by_hand() -> None:
    """Two seeds of two. llm: deviations +-2, +-1, s = sqrt(10 / 4); likelihood: +-0.5 both, s = 0.5."""
    groups = [[1, 2], [3, 4]]
    llm = {1: 9.0, 2: 5.0, 3: 6.0, 4: 4.0}
    likelihood = {1: -2.0, 2: -1.0, 3: -2.0, 4: -1.0}
    s = math.sqrt(2.5)
    found = mixed({"llm": 1.0, "likelihood": 0.8}, {"llm": llm, "likelihood": likelihood}, groups)
    expected = {1: 2 / s - 0.8, 2: -2 / s + 0.8, 3: 1 / s - 0.8, 4: -1 / s + 0.8}
    assert {i: score for i, (score, _) in found.items()} == pytest.approx(expected)
    # Clear for the llm, so it wins in the first seed; less clear in the second, where likelihood turns it.
    assert expected[1] > expected[2] and expected[3] < expected[4]


def test_a_mix_never_takes_unscored_for_average() -> None:
    llm, likelihood = {1: 9.0, 3: 5.0, 4: 7.0}, {1: -2.0, 2: -1.0, 3: -1.0, 4: -2.0, 5: -3.0, 6: -1.0}
    found = mixed({"llm": 1.0, "likelihood": 1.0}, {"llm": llm, "likelihood": likelihood}, [[1, 2], [3, 4], [5, 6]])
    assert found[2][0] is None  # its neighbour was marked by the llm
    assert found[5][0] is not None and set(found[5][1]) == {"likelihood"}  # the llm marked none of this seed


def candidate(number: int, flags: tuple[str, ...] = (), finish: str = "stop") -> Candidate:
    facts: dict[str, Any] = {"source_hash": "g", "model": "m", "prompt_version": "p", "reasoning": "r", "answer": "a"}
    facts |= {"finish_reason": finish, "prompt_tokens": 1, "completion_tokens": 1, "seconds": 0.1, "dialect": "none"}
    return Candidate(seed_id="s", source="elder", number=number, flags=flags, id=100 + number, **facts)


MARKS = st.lists(
    st.tuples(st.sampled_from([(), ("loop",), ("truncated", "empty")]), st.none() | st.integers(-9, 10).map(float)),
    max_size=6,
)


@given(MARKS, st.permutations(range(6)))
def test_the_best_is_fit_marked_and_unbeaten(marks: list[tuple[tuple[str, ...], float | None]], order: Any) -> None:
    candidates = [candidate(number, flags) for number, (flags, _) in enumerate(marks, 1)]
    scores = {c.id: score for c, (_, score) in zip(candidates, marks, strict=True)}
    fit = {c.id: s for c in candidates if not c.flags and (s := scores[c.id]) is not None}
    chosen = best_candidate([candidates[i] for i in order if i < len(candidates)], scores)
    if not fit:
        assert chosen is None
        return
    assert chosen is not None
    top = max(fit.values())
    assert chosen == min(number for number, score in fit.items() if score == top)  # a tie: the lower number


def test_of_equal_marks_the_one_that_finished_is_picked() -> None:
    assert best_candidate([candidate(1, finish="stop_sequence"), candidate(2)], {101: 8.0, 102: 8.0}) == 102


def test_a_candidate_without_a_row_of_marks_is_unscored() -> None:
    assert best_candidate([candidate(1)], {}) is None


@given(st.text(max_size=300), st.integers(1, 80))
def test_shortened_reasoning_keeps_its_ends_and_its_budget(text: str, limit: int) -> None:
    short = shorten(text, limit)
    if tokens(text) <= limit:
        assert short == text
        return
    head, _, rest = short.partition("\n[… ")
    tail = rest.partition(" left out …]\n")[2]
    assert text.startswith(head) and text.endswith(tail) and abs(len(head) - len(tail)) <= 1
    assert len(head) + len(tail) <= len(text) * limit / tokens(text) + 1
