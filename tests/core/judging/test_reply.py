"""A judge's reply becomes marks from 1 to 10 or none; marks are made comparable; the pick is the best of the fit."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.judging.reply import PARTS, InvalidReplyError, example, parse_by_schema, salvage, schema
from faq_tui.core.judging.reply_json import ALONE

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
        ('{"overall": "80%"}', 8.0),
        ('{"overall": "7.5 %"}', None),
        ('{"overall": "900%"}', None),
        ('{"overall": "Eight"}', 8.0),
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
        ('{"rating": 8}', 8.0),
        ('{"evaluation": {"overall": "8 out of 10"}}', 8.0),
        ('{"answers": [{"id": "A", "overall": 8}]}', 8.0),
        ('{"answers": [{"id": "A", "overall": 8}, {"id": "B", "overall": 3}]}', None),
        ('Here:\n```json\n{"overall": 8}\n```\nI hope {it} helps.', 8.0),
        ('First {"overall": 3}, no: {"overall": 8}', None),
        ('It is {"overall": 8}, so {"overall": 8}', 8.0),
        ("I would give it 8/10.", 8.0),
        ("**8/10**", 8.0),
        ("8 out of 10", 8.0),
        ("Rating: [[8]]", 8.0),
        ("[[B]]", None),
        ("It is 8/10. No, 3/10.", None),
        ("7/10 of the steps are right.", None),
        ("The overall rating is 8", 8.0),
        ("80/100", None),
        ("4/5", None),
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
        ('[{"label": "B", "score": 8}, {"label": "A", "score": 3}]', {"A": 3.0, "B": 8.0}),
        ('{"marks": [{"candidate": 1, "overall": 3}, {"candidate": 2, "overall": 8}]}', {"A": 3.0, "B": 8.0}),
        ('{"marks": [{"index": 1, "overall": 8}, {"index": 0, "overall": 3}]}', {"A": 3.0, "B": 8.0}),
        ('{"Answer A": {"rating": "3/10"}, "Answer B": {"rating": "8/10"}}', {"A": 3.0, "B": 8.0}),
        ('{"candidate_1": 3, "candidate_2": 8}', {"A": 3.0, "B": 8.0}),
        ('```json\n[{"overall": 3}, {"overall": 8}]\n```', {"A": 3.0, "B": 8.0}),
        ('{"A": {"overall": 3}} and {"B": {"overall": 8}}', {"A": 3.0, "B": 8.0}),
        ('{"A": 3, "B": 8} or {"A": 5, "B": 8}', {"B": 8.0}),
        ('[{"id": "A", "overall": 3}, {"id": "A", "overall": 8}]', {}),
        ('[{"overall": 3}, {"overall": 8}, {"overall": 9}]', {}),
        ("Candidate 1: 3/10\nCandidate 2: 8/10", {"A": 3.0, "B": 8.0}),
        ("**Answer A** (3/10)\n**Answer B** (8/10)", {"A": 3.0, "B": 8.0}),
        ("Response B gets 8 out of 10, response A gets 3 out of 10.", {"A": 3.0, "B": 8.0}),
        ("Candidate 3: 8/10", {}),
        ("[[B]]", {}),
        ("B is better than A.", {}),
    ],
)
def test_what_is_salvaged_of_two(raw: str, scores: dict[str, float]) -> None:
    assert {label: verdict.overall for label, verdict in salvage(raw, ("A", "B")).items()} == scores


@pytest.mark.parametrize(
    "text", ["score is ", "overall ", "give ", "answer A is ", "{", "[{", '{"A": ', "8/10 ", "score\n"]
)
def test_a_reply_that_repeats_itself_is_read_quickly(text: str) -> None:
    began = time.process_time()
    salvage(text * 10_000, ("A", "B"))
    salvage(text * 10_000, (ALONE,))
    assert time.process_time() - began < 2
