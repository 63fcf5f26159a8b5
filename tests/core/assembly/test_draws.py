"""Several draws of a calibration set: which seeds each has, what is made of them, and what the evidence says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.assembly.draws import Overlap, draws, in_words, overlap
from faq_tui.core.base.errors import UsageError
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.evidence import BETTER, WITHIN_NOISE, collect
from faq_tui.core.report.document import document
from faq_tui.core.report.formats import render
from faq_tui.core.settings import parse_settings
from faq_tui.core.settings.sets import draw_name, plain_name
from faq_tui.core.stats.bootstrap import compared, difference
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.seeds import Seed, assign_roles, replace_all
from tests.support.made_up import TOML, add_made_up_artefact, add_made_up_measurement, made_up_run

THREE = TOML.replace("[evaluate]", "[evaluate]\nrepeats = 3")


def seeds_of(count: int) -> list[Seed]:
    return [Seed(({"role": "user", "content": f"Question {n}?"},), None, f"x:{n}") for n in range(count)]


def ids_of(count: int) -> list[str]:
    return [seed.id for seed in seeds_of(count)]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.floats(0.1, 0.999), st.integers(0, 3))
def test_draws_are_of_one_size_and_share_seeds_only_where_they_must(
    total: int, count: int, repeats: int, share: float, key: int
) -> None:
    order = ids_of(total)
    ids = draws(order, count, repeats, share, key)
    assert len(ids) == repeats and len({len(part) for part in ids}) == 1
    assert all(part == sorted(part, key=order.index) and len(set(part)) == len(part) for part in ids)
    assert ids == draws(order, count, repeats, share, key)
    together = [seed_id for part in ids for seed_id in part]
    if repeats == 1:
        assert ids[0] == order
    elif total >= count * repeats:
        assert len(set(together)) == len(together) and ids[0] == order[:count]
    elif total > count:
        assert len(ids[0]) == count
    else:
        assert len(ids[0]) == max(1, min(total - 1, round(share * total))), "draws with all seeds would be equal"


def test_a_person_is_told_whether_draws_share_seeds() -> None:
    assert in_words(draws(ids_of(12), 4, 3, 0.5, 0)).endswith("no two draws share a seed")
    assert "draws share seeds" in in_words(draws(ids_of(6), 4, 3, 0.5, 0))


def test_every_set_and_artefact_has_a_name_for_each_draw() -> None:
    settings = parse_settings(THREE)
    assert settings.set_names() == ("baseline", "elder", "baseline-tokens", "elder-tokens")
    assert set(settings.all_set_names()) == {draw_name(name, n) for name in settings.set_names() for n in (1, 2, 3)}
    folders = [settings.recipes[0].folder(name) for name in settings.sets_of(settings.recipes[0])]
    assert "gptq-w4g64-elder-tokens-r3" in folders and len(folders) == 12
    assert parse_settings(TOML).all_set_names() == settings.set_names()
    assert [plain_name(name) for name in ("elder", "elder-r2", "x-r1", "a-r2-r13")] == [
        "elder",
        "elder",
        "x-r1",
        "a-r2",
    ]
    with pytest.raises(UsageError, match=r"uses this name for a draw"):
        parse_settings(THREE + '[sets.mine-r2]\nfrom = "elder"\n')
    with pytest.raises(UsageError, match=r"evaluate\.answers: there is no source 'granny'"):
        parse_settings(TOML + 'answers = "granny"\n')


def measured(folder: Path, ours: list[float], baseline: list[float]) -> tuple[object, str]:
    sets = tuple(draw_name(name, n) for n in range(1, len(ours) + 1) for name in ("baseline", "elder"))
    with made_up_run(folder, THREE, sets) as run:
        add_made_up_measurement(run, UNQUANTIZED)
        for number, (mine, other) in enumerate(zip(ours, baseline, strict=True), 1):
            for name, kl in (("elder", mine), ("baseline", other)):
                folder_name = run.settings.recipes[0].folder(draw_name(name, number))
                add_made_up_measurement(run, folder_name, kl, agree=1.0 - kl)
        (found,) = collect(run).comparisons
        assert found.draws == len(ours)
        # Each artefact has a sample more than the one before, of 100 tokens each.
        assert (found.baseline_samples, found.our_samples) == (9 + len(ours), 10 + len(ours))
        assert found.our_tokens == 100 * found.our_samples
        sizes = "1,300 tokens. Other set: 12 samples, 1,200 tokens. These are means of 3 draws.</p>"
        assert (sizes in render(run, "html")) == (len(ours) == 3)
        return found.texts["pydoc"][KL.name], render(run, "md")


@pytest.mark.slow
def test_draws_that_disagree_are_noise_and_draws_that_agree_are_not(tmp_path: Path) -> None:
    """One draw alone would call the first of these better: its items leave no doubt."""
    wide, text = measured(tmp_path / "a", [0.25, 0.31, 0.28], [0.29, 0.28, 0.30])
    sure, _ = measured(tmp_path / "b", [0.250, 0.252, 0.249], [0.290, 0.291, 0.289])
    one, alone = measured(tmp_path / "c", [0.25], [0.29])
    assert (wide.verdict, sure.verdict, one.verdict) == (WITHIN_NOISE, BETTER, BETTER)  # type: ignore[attr-defined]
    assert wide.difference.value == pytest.approx(-0.01, abs=0.004)  # type: ignore[attr-defined]
    assert "elder: 13 samples, 1,300 tokens (mean of 3 draws); baseline: 12 samples, 1,200 tokens (mean of 3" in text
    assert "our set has 1,300 tokens, and the other set has 1,200; these numbers are means over 3 draws)" in text
    assert "draws)" not in alone
    assert "every set was drawn 3 times" in text and "do not account for the random choice" not in text
    assert "do not account for the random choice of calibration seeds" in alone


def test_what_belongs_to_a_draw_is_listed(tmp_path: Path) -> None:
    with made_up_run(tmp_path, THREE, ("baseline",)) as run:
        add_made_up_artefact(run, "baseline-r2")
        add_made_up_measurement(run, UNQUANTIZED)
        add_made_up_measurement(run, "gptq-w4g64-baseline-r2", 0.2)
        assert [row.name for row in collect(run).rows] == [UNQUANTIZED, "gptq-w4g64-baseline-r2"]


def sides(dice: np.random.Generator, repeats: int, spread: float) -> list[list[Sums]]:
    """Two recipes without any difference but the luck of the draw, of spread `spread` in KL, and of the items."""
    tokens = dice.integers(100, 200, 32).astype(float)
    found = []
    for _ in range(2):
        of_items, side = 0.01 * dice.standard_normal(32), []
        for _ in range(repeats):
            kl = np.abs(0.2 + of_items + spread * dice.standard_normal() + 0.02 * dice.standard_normal(32)) * tokens
            side.append(Sums.of({"tokens": tokens, "kl": kl}))
        found.append(side)
    return found


@pytest.mark.parametrize("repeats", [3, 5])
def test_over_draws_too_the_interval_excludes_zero_about_five_times_in_a_hundred(repeats: int) -> None:
    dice, experiments = np.random.default_rng(4), 200
    alarms = by_first_draw = 0
    for _ in range(experiments):
        ours, theirs = sides(dice, repeats, 0.03)
        found, p = compared(KL, ours, theirs, 400)
        alarms += found.excludes(0.0)
        assert p is not None and (found.excludes(0.0) == (p < 0.05) or 0.03 < p < 0.08)
        by_first_draw += difference(KL, ours[0], theirs[0], 400).excludes(0.0)
    assert 0.03 <= alarms / experiments <= 0.08
    assert by_first_draw / experiments > 0.5  # what a single draw would have us believe


def test_where_draws_share_seeds_the_interval_excludes_zero_about_five_times_in_a_hundred_too() -> None:
    """Each seed pulls the KL of all draws that hold it to its own side: three halves of the same 24 seeds."""
    dice, experiments, seeds = np.random.default_rng(2), 200, seeds_of(24)
    alarms = {"widened": 0, "as if independent": 0}
    shared = Overlap(seeds=12, total=24)
    for number in range(experiments):
        pull = dict(zip((seed.id for seed in seeds), 0.1 * dice.standard_normal(24), strict=True))
        tokens = dice.integers(100, 200, 32).astype(float)
        ours: list[Sums] = []
        theirs: list[Sums] = []
        for drawn in draws([seed.id for seed in seeds], 24, 3, 0.5, number):
            of_draw = np.mean([pull[seed_id] for seed_id in drawn])
            for side, shift in ((ours, of_draw), (theirs, 0.0)):
                kl = (1.0 + shift + 0.005 * dice.standard_normal(32)) * tokens
                side.append(Sums.of({"tokens": tokens, "kl": kl}))
        for way, widening in (("widened", shared.widening(3)), ("as if independent", 1.0)):
            alarms[way] += compared(KL, ours, theirs, 400, widening)[0].excludes(0.0)
    assert 0.03 <= alarms["widened"] / experiments <= 0.08
    assert alarms["as if independent"] / experiments > 0.12


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (12, None),  # four for each of three draws
        (10, Overlap(seeds=4, total=10)),
        (4, Overlap(seeds=2, total=4)),
        (0, None),  # an older run may have lost them
    ],
)
def test_shared_seeds_widen_the_intervals_and_the_report_says_so(
    tmp_path: Path, chosen: int, found: Overlap | None
) -> None:
    sets = tuple(draw_name(name, n) for n in (1, 2, 3) for name in ("baseline", "elder"))
    with made_up_run(tmp_path, THREE.replace('jsonl"', 'jsonl"\ncount = 4', 1), sets) as run:
        add_made_up_measurement(run, UNQUANTIZED)
        for number, kl in enumerate([0.25, 0.31, 0.28], 1):
            for name, of_draw in (("elder", kl), ("baseline", 0.30)):
                add_made_up_measurement(run, run.settings.recipes[0].folder(draw_name(name, number)), of_draw)
        alone = collect(run).comparisons[0].texts["pydoc"][KL.name].difference
        seeds = seeds_of(chosen)
        replace_all(run.store, seeds)
        assign_roles(run.store, [seed.id for seed in seeds], [])
        assert overlap(run) == found
        widened, text = collect(run).comparisons[0].texts["pydoc"][KL.name].difference, render(run, "md")
        told = document(run)["run"]["shared_seeds"]
    assert (told is None) == (found is None) == ("The draws share seeds" not in text)
    assert found is None or f"each uses {found.seeds} of the same {found.total} seeds" in text
    ratio = (widened.high - widened.low) / (alone.high - alone.low)  # type: ignore[operator]
    assert ratio == pytest.approx(1.0 if found is None else found.widening(3), rel=0.02)
    assert widened.value == alone.value


def test_draws_are_paired(tmp_path: Path) -> None:
    ours, theirs = sides(np.random.default_rng(1), 3, 0.03)
    with pytest.raises(ValueError, match="same draws"):
        difference(KL, ours, theirs[:2], 200)
