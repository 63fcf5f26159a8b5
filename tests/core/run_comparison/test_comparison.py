"""The whole comparison: as data that JSON can hold, and in sentences."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.embedded import EmbeddedModel
from faq_tui.core.run_comparison import PickComparison, compare_runs
from faq_tui.core.run_comparison.comparison import pick_sentences
from tests.support.compared_runs import two_runs
from tests.support.evidence_run import TOML, evidence_run
from tests.support.schemas import valid


def test_as_json(tmp_path: Path) -> None:
    one, other = two_runs(tmp_path, "[activations]\nsamples = 5\n")
    before = (one / "faq.db").read_bytes(), (one / "faq.toml").read_bytes()
    compared = compare_runs(one, other)
    body = json.loads(json.dumps(compared.as_json(), allow_nan=False))
    valid("compare", body)
    assert body["settings"] == [{"key": "activations.samples", "A": 64, "B": 5}]
    assert body["not_comparable"] == [] and compared.names == ("one", "other")
    assert {row["run"] for row in body["evidence"]} == {"A", "B"}
    assert {"metric", "equal", "what", "ours", "baseline", "difference", "verdict"} <= body["evidence"][0].keys()
    assert body["picks"]["shared_seeds"] == 6 and body["picks"]["same"] == 3
    assert [d["B"]["candidate"] for d in body["picks"]["differing"]] == [2, 2, 2]
    assert ((one / "faq.db").read_bytes(), (one / "faq.toml").read_bytes()) == before, "nothing is written"
    assert all(len(line) <= 80 for line, _ in compared.forest(80))


def test_another_target(tmp_path: Path) -> None:
    one, other = two_runs(tmp_path, model="./other-target")
    (sentence,) = compare_runs(one, other).not_comparable
    assert "./target and ./other-target" in sentence and "not comparable" in sentence


def test_two_names_of_one_model_are_one_target(tmp_path: Path, embedded_model: EmbeddedModel) -> None:
    """The embedded model and the path of its folder; the same folder in another place; another model."""
    copied = tmp_path / "a copy"
    shutil.copytree(embedded_model.folder, copied)
    for name, model in (("one", "embedded"), ("other", embedded_model.folder), ("third", copied)):
        with evidence_run(tmp_path / name, toml=TOML.replace("{model}", str(model))):
            pass
    for other in ("other", "third"):
        for pair in (("one", other), (other, "one")):
            compared = compare_runs(*(tmp_path / name for name in pair))
            assert compared.not_comparable == () and compared.settings == (), pair
    config = copied / "config.json"
    config.write_text(config.read_text().replace("eos", "sos"))
    compared = compare_runs(tmp_path / "one", tmp_path / "third")
    assert [one.key for one in compared.settings] == ["target.model"]


def test_a_target_that_is_gone_is_compared_by_its_name(tmp_path: Path) -> None:
    one, other = two_runs(tmp_path, model="./other-target")
    shutil.rmtree(other / "other-target")
    assert [one.key for one in compare_runs(one, other).settings] == ["target.model"]


def test_one_run_cannot_be_compared_with_itself(tmp_path: Path) -> None:
    one, _ = two_runs(tmp_path)
    with pytest.raises(UsageError, match="are the same run"):
        compare_runs(one, one / ".." / "one")


@pytest.mark.parametrize(
    ("picks", "words"),
    [
        (PickComparison(1, 0, 0, 1, ()), ["1 seed is regenerated in both runs.", "for 0 of 1 pick."]),
        (PickComparison(2, 3, 1, 0, ()), ["3 seeds are regenerated only in run A.", "Neither run has picks"]),
        (PickComparison(0, 0, 0, 0, (), ("a", "b")), ["0 seeds", "only one of the runs: a, b."]),
    ],
)
def test_sentences(picks: PickComparison, words: list[str]) -> None:
    text = " ".join(pick_sentences(picks))
    assert all(part in text for part in words), text
