"""Marks are made comparable: length control, z-scores and the mix, computed by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from faq_tui.core.judging.derive import derive, length_controlled, mixed, slope_of, z_scores
from faq_tui.core.judging.identity import column_id, shown_id
from faq_tui.core.store import picks as rows
from faq_tui.core.store.picks import ScoreRow
from tests.support.pane_runs import TOML, answer, bare_run, seed_ids


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


def test_the_sentence_beside_a_score_names_the_score_after_length_control(tmp_path: Path) -> None:
    """Each sentence holds the number of its own candidate, as stored."""
    toml = TOML.replace("[judge]\n", "") + '\n[judge]\nkind = "likelihood"\n'
    with bare_run(tmp_path, 4, toml) as run:
        groups = [[answer(run, seed, number) for number in (1, 2, 3)] for seed in seed_ids(run)]
        identity = column_id(run, "likelihood")
        for at, candidate in enumerate(i for group in groups for i in group):
            tokens, score = 20 * 2 ** (at % 3), -1.0 - 0.3 * (at % 3) - 0.01 * at
            details = {"tokens": tokens, "answer": {"mean_logprob": score, "tokens": tokens}}
            rows.put_derived(run.store, identity, [ScoreRow(candidate, identity, "likelihood", score, "", details)])
        derive(run, groups)
        query = "SELECT score, reason FROM scores WHERE judge = ?"
        found = run.store.db.execute(query, (shown_id(run, "likelihood"),)).fetchall()
    assert len(found) == 12
    for score, reason in found:
        assert reason.endswith(f"; {score:.2f} after length control"), (score, reason)
