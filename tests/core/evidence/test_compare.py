"""What the evidence says of made-up measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import PROSE
from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, TOP1, Metric, metrics_of
from faq_tui.core.evidence import (
    BETTER,
    LEANS_BETTER,
    LEANS_WORSE,
    SAME,
    UNKNOWN,
    WITHIN_NOISE,
    WORSE,
    Comparison,
    Evidence,
    collect,
)
from faq_tui.core.evidence.compare import verdict
from faq_tui.core.report.document import document
from faq_tui.core.report.markdown import markdown
from faq_tui.core.run.run import Run
from faq_tui.core.stats.bootstrap import Estimate
from faq_tui.core.stats.multiple_testing import RATE
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.made_up import SETS, TOML, add_made_up_artefact, add_made_up_measurement, made_up_run, measure_all

METRICS = [metric for metric in metrics_of(PROSE) if not metric.of_tokens]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with made_up_run(tmp_path) as run:
        yield run


def comparison(evidence: Evidence, equal: str) -> Comparison:
    (found,) = [c for c in evidence.comparisons if c.equal == equal]
    return found


def verdicts(found: Comparison, metric: Metric = KL) -> set[str]:
    return {outcomes[metric.name].verdict for outcomes in found.texts.values()}


def test_better_worse_and_within_noise(run: Run) -> None:
    measure_all(run, {"baseline": 0.30, "elder": 0.20, "baseline-tokens": 0.30, "elder-tokens": 0.30})
    evidence = collect(run)
    better, even = comparison(evidence, "samples"), comparison(evidence, "tokens")
    assert set(better.texts) == {"pydoc", "answers"}
    for metric in (KL, PERPLEXITY, TOP1):
        assert verdicts(better, metric) == {BETTER}
    assert verdicts(even) == {WITHIN_NOISE}
    assert (better.ours, better.baseline) == ("gptq-w4g64-elder", "gptq-w4g64-baseline")
    assert (even.ours, even.baseline) == ("gptq-w4g64-elder-tokens", "gptq-w4g64-baseline-tokens")
    assert (better.our_samples, better.our_tokens, better.baseline_samples) == (11, 1100, 10)
    recovered = better.texts["pydoc"][KL.name].recovered
    assert recovered is not None and recovered.value == pytest.approx(1 / 3, abs=0.03)


def test_worse(run: Run) -> None:
    measure_all(run, {"baseline": 0.20, "elder": 0.30})
    found = comparison(collect(run), "samples")
    for metric in METRICS:
        assert verdicts(found, metric) == {WORSE}


def test_rows_hold_every_model_with_intervals(run: Run) -> None:
    measure_all(run, dict.fromkeys(SETS, 0.2))
    folder = run.models / "gptq-w4g64-elder"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 1234)
    rows = {row.name: row for row in collect(run).rows}
    assert list(rows) == [UNQUANTIZED, *(f"gptq-w4g64-{name}" for name in SETS)]
    row = rows["gptq-w4g64-elder"]
    assert (row.recipe, row.set_name, row.samples, row.tokens) == ("gptq-w4g64", "elder", 11, 1100)
    assert (row.bits, row.bytes) == (4.3125, 1234)
    for metric in METRICS:
        estimate = row.texts["answers"][metric.name]
        assert estimate.low is not None and estimate.high is not None
        assert estimate.low < estimate.value < estimate.high
    itself = rows[UNQUANTIZED].texts["pydoc"]
    assert itself[KL.name].value == 0 and itself[TOP1.name].value == 1


def test_a_comparison_needs_both_sides(run: Run) -> None:
    measure_all(run, {"baseline": 0.3, "elder-tokens": 0.2, "baseline-tokens": 0.2})
    assert [c.equal for c in collect(run).comparisons] == ["tokens"]


def test_sides_that_are_one_artefact_are_said_to_be(run: Run) -> None:
    measure_all(run, {"baseline": 0.3})
    add_made_up_artefact(run, "elder", same_as="gptq-w4g64-baseline")
    found = comparison(collect(run), "samples")
    assert found.same and verdicts(found) == {SAME}
    assert found.texts["pydoc"][KL.name].recovered is None


@pytest.mark.parametrize("stale", ["artefact", "dtype", "items"])
def test_measurements_that_do_not_belong_together_are_not_used(run: Run, stale: str) -> None:
    measure_all(run, {"baseline": 0.3, "elder": 0.2})
    assert len(collect(run).comparisons) == 1
    if stale == "artefact":
        add_made_up_artefact(run, "elder", same_as=None)  # the very same: still good
        assert len(collect(run).comparisons) == 1
        run.store.db.execute("UPDATE artefacts SET signature = 'new' WHERE name = 'gptq-w4g64-elder'")
    elif stale == "dtype":
        add_made_up_measurement(run, "gptq-w4g64-elder", 0.2, tail="bfloat16")
    else:
        add_made_up_measurement(run, "gptq-w4g64-elder", 0.2, items=31)
    evidence = collect(run)
    assert evidence.comparisons == () and "gptq-w4g64-elder" not in [row.name for row in evidence.rows]


def test_texts_and_recipes_that_left_the_settings_are_gone(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, dict.fromkeys(SETS, 0.2))
    with made_up_run(tmp_path, TOML.replace("group_size = 64", 'group_size = 64\nsets = ["baseline"]')) as run:
        evidence = collect(run)
        assert [row.name for row in evidence.rows] == [UNQUANTIZED, "gptq-w4g64-baseline"]
        assert evidence.comparisons == ()
    with made_up_run(tmp_path, TOML.replace('["pydoc"]', "[]")) as run:
        assert [text.name for text in collect(run).texts] == ["answers"]


def test_too_few_items_and_numbers_that_are_not_finite_tell_nothing(run: Run) -> None:
    add_made_up_measurement(run, UNQUANTIZED, items=4)
    for name in ("baseline", "elder"):
        add_made_up_measurement(run, f"gptq-w4g64-{name}", 0.2 if name == "elder" else 0.4, items=4)
    assert verdicts(comparison(collect(run), "samples")) == {UNKNOWN}
    measure_all(run, {"baseline": 0.2})
    add_made_up_measurement(run, "gptq-w4g64-elder", math.nan)
    assert verdicts(comparison(collect(run), "samples")) == {UNKNOWN}


def test_nothing_measured_says_what_to_do(run: Run) -> None:
    with pytest.raises(UsageError, match="nothing is measured yet: run `faq-tui run"):
        collect(run)


def add_sizes(run: Run, equal_tokens: int, samples: int = 10) -> None:
    """The assembled sets. `elder-tokens` has `equal_tokens` tokens, and `elder` has `samples` samples."""
    sizes = {
        "baseline": (10, 1000),
        "elder": (samples, 3000),
        "baseline-tokens": (30, 3000),
        "elder-tokens": (10, equal_tokens),
    }
    for name, (count, tokens) in sizes.items():
        add_set(run.store, SetRow(name, digest(name), count, tokens, tokens, 0, {}))


def test_sets_of_different_sizes_are_not_compared_at_equal_sizes(run: Run) -> None:
    measure_all(run, {"baseline": 0.30, "elder": 0.20, "baseline-tokens": 0.30, "elder-tokens": 0.20})
    for tokens, samples, compared in (
        (3000, 10, {"samples", "tokens"}),
        (2990, 10, {"samples", "tokens"}),  # cutting may leave up to 10 tokens less
        (2900, 10, {"samples"}),
        (3000, 6, {"tokens"}),
    ):
        add_sizes(run, tokens, samples)
        assert {c.equal for c in collect(run).comparisons} == compared
    add_sizes(run, 2900)
    body = document(run)
    assert [n["message"] for n in body["notices"] if n["source"] == "elder"][-1] == (
        "It is not compared with baseline-tokens at equal tokens, because it has 2,900 tokens, and baseline-tokens "
        "has 3,000. To compare them, match baseline-tokens to elder instead, or use more seeds"
    )
    assert not body["not_yet"] and "both sets have 2,900 tokens" not in markdown(body)


@given(st.sampled_from(METRICS), st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_verdict_follows_interval_and_p_value(
    metric: Metric, value: float, below: float, above: float, p: float
) -> None:
    found = Estimate(value, value - below, value + above)
    word = verdict(metric, found, p)
    assert (word == WITHIN_NOISE) == (value - below <= 0 <= value + above)
    if word != WITHIN_NOISE:
        sure, leaning = (BETTER, LEANS_BETTER) if (value > 0) == (metric is TOP1) else (WORSE, LEANS_WORSE)
        assert word == (sure if p <= RATE else leaning)


def test_an_interval_has_no_values_that_are_impossible(tmp_path: Path) -> None:
    """With two draws, Student's t makes an interval twelve times as wide as the error of the mean."""
    sets = ("baseline", "elder", "baseline-r2", "elder-r2")
    with made_up_run(tmp_path, TOML.replace("[evaluate]", "[evaluate]\nrepeats = 2"), sets) as run:
        add_made_up_measurement(run, UNQUANTIZED)
        for name, agree, kl in zip(sets, (0.5, 0.9, 0.5, 0.6), (0.5, 0.1, 0.5, 0.4), strict=True):
            add_made_up_measurement(run, f"gptq-w4g64-{name}", kl, agree=agree)
        (found,) = collect(run).comparisons
        body = document(run)
    outcomes = found.texts["pydoc"]
    top1, of_kl = outcomes[TOP1.name], outcomes[KL.name]
    assert (top1.difference.low, top1.difference.high) == (-1.0, 1.0)
    assert top1.whole_half is not None and top1.whole_half > 1.0, "the number of draws needed is computed from this"
    assert of_kl.difference.low is not None and of_kl.difference.low < -1.0 and of_kl.whole_half is None
    assert of_kl.recovered is not None and of_kl.recovered.high == 1.0
    shown = body["comparisons"][0]["texts"]["pydoc"][TOP1.name]["difference"]
    assert (shown["low"], shown["high"]) == (-1.0, 1.0)


def test_one_weak_effect_among_many_comparisons_is_only_a_leaning(tmp_path: Path) -> None:
    """Alone it would count; beside eight sources without any effect it does not."""
    many = TOML + "".join(f'[sources.s{n}]\nbase_url = "http://x/v1"\nmodel = "M"\n' for n in range(8))
    found = []
    for toml, sources in ((TOML, []), (many, [f"s{n}" for n in range(8)])):
        with made_up_run(tmp_path / str(len(sources)), toml, ("baseline", "elder", *sources)) as run:
            measure_all(run, {"baseline": 0.30} | {name: 0.3001 + n * 1e-6 for n, name in enumerate(sources)})
            add_made_up_measurement(run, "gptq-w4g64-elder", 0.292, agree=0.7, texts=("pydoc",))
            (of_elder,) = [c for c in collect(run).comparisons if c.source == "elder"]
            found.append(of_elder.texts["pydoc"][KL.name])
    alone, among = found
    assert alone.difference == among.difference and alone.difference.excludes(0.0) and alone.p == among.p
    assert (alone.verdict, among.verdict) == (BETTER, LEANS_BETTER)


PLAIN = """
[sets.cut]
from = "elder"
answers_cut = 64
{cut}
[sets.plain]
from = "baseline"
{plain}
[sets.mixed]
from = {{ elder = 0.5, baseline = 0.5 }}
match = {{ tokens = "plain" }}
[[recipes]]"""


@pytest.mark.parametrize(("cut", "plain"), [("", 'match = { tokens = "cut" }'), ('match = { tokens = "plain" }', "")])
def test_plain_seeds_are_the_baseline_whichever_set_copies_the_size(cut: str, plain: str, tmp_path: Path) -> None:
    names = ("cut", "plain", "mixed")
    with made_up_run(tmp_path, TOML.replace("[[recipes]]", PLAIN.format(cut=cut, plain=plain)), names) as run:
        for number, name in enumerate(names):
            add_set(run.store, SetRow(name, digest(name), 10 + number, 1000, 1000, 0, {}))
        measure_all(run, {"cut": 0.20, "plain": 0.30, "mixed": 0.25})
        found = {c.source: c for c in collect(run).comparisons if c.equal == "tokens"}
    assert {name: c.baseline for name, c in found.items()} == dict.fromkeys(("cut", "mixed"), "gptq-w4g64-plain")
    assert verdicts(found["cut"]) == {BETTER}
