"""Steps 4 and 5: the estimates of a recipe, the space on the disk, and the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

from faq_tui.core.setup.draft import Draft
from faq_tui.core.setup.plan_step import look_at_plan
from faq_tui.core.setup.recipe_step import look_at_recipe
from faq_tui.core.setup.target_step import TargetReport, look_at_target
from tests.support.tiny import make_tiny_model


def test_the_estimate_is_that_of_doctor_and_names_the_disk(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "model")
    target = look_at_target("model", tmp_path)
    report = look_at_recipe(Draft(target.name, "starter", "self", group_size=16), target, tmp_path / "not" / "yet")
    words = "\n".join(line.text for line in report.lines)
    assert not report.problem and report.artefacts == 4 and (report.needed or 0) > 0
    assert "each for 4 sets" in words and "of host memory" in words and "GB are free" in words


def test_the_window_and_the_number_of_questions_limit_the_estimate(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "model")
    (tmp_path / "q.txt").write_text("".join(f"What is number {n}?\n" for n in range(16)))
    target = look_at_target("model", tmp_path)
    draft = Draft(target.name, str(tmp_path / "q.txt"), "server", "http://x/v1", "Big", group_size=16, count=14)
    first = look_at_recipe(replace(draft, heldout=2, window=1024), target, tmp_path).lines[0].text
    assert first.startswith("At most about ")
    assert "at most 14,336 tokens in a set: 14 rows of 1,024 tokens" in first


def test_a_full_disk_is_red(tmp_path: Path) -> None:
    target = TargetReport(name="Qwen/Qwen3-8B", weights=16_000_000_000, missing=16_000_000_000)
    with mock.patch("faq_tui.core.setup.recipe_step._free", lambda _folder: 9_000_000_000):
        report = look_at_recipe(Draft(target.name, "starter", "self"), target, tmp_path)
    assert report.needed == 16_000_000_000 + 4 * 4_600_000_000
    assert report.lines[-1].role == "bad" and "need about 34.4 GB, but only 9.0 GB are free" in report.lines[-1].text


def test_bits_that_a_method_does_not_have_are_refused(tmp_path: Path) -> None:
    target = TargetReport(name="a/b")
    problem = look_at_recipe(Draft("a/b", "starter", "self", method="awq", bits=8), target, tmp_path).problem
    assert problem == "bits: awq supports 4"


def test_the_plan_names_every_stage(tmp_path: Path) -> None:
    draft = Draft("a/b", "starter", "server", "http://elder:8000/v1", "Big", count=16, heldout=4)
    report = look_at_plan(draft, "my-run", tmp_path)
    assert report.folder == tmp_path / "my-run" and not report.problem
    stages = [line.text.split()[0] for line in report.lines]
    assert stages == ["seeds", "regenerate", "judge", "assemble", "activations", "quantize", "evaluate", "report"]
    words = "\n".join(line.text for line in report.lines)
    assert "regenerate 16 and hold out 4" in words and "from Big at http://elder:8000/v1" in words
    assert "4 models: gptq with 4 bits" in words
    assert "is a file" in look_at_plan(draft, "/dev/null", tmp_path).problem


def test_the_plan_states_the_time_that_is_known(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "model")
    (tmp_path / "q.txt").write_text("".join(f"What is number {n:02}?\n" for n in range(16)))
    questions = str(tmp_path / "q.txt")
    draft = Draft("a/b", questions, "server", "http://x/v1", "Big", count=14, heldout=2, window=1034, rate=10.0)
    line = look_at_plan(draft, "my-run", tmp_path).lines[-1].text
    answers = "42 answers of at most 1,000 tokens, one after another; less with several at a time"
    rest = "; judge, activations and evaluate take further time"
    assert line == f"time        regenerate at most about 70 min ({answers}){rest}"
    endless = look_at_plan(replace(draft, window=None), "my-run", tmp_path).lines[-1].text
    assert "42 answers of at most 8,192 tokens" in endless
    draft = replace(draft, target=str(tmp_path / "model"), group_size=16)
    both = look_at_plan(draft, "my-run", tmp_path).lines[-1].text
    assert both.startswith(f"{line.removesuffix(rest)}; quantize at most about ")
    assert both.endswith(f" s (all models, one after another; less with several at a time){rest}")
    alone = look_at_plan(replace(draft, origin="none"), "my-run", tmp_path).lines[-1].text
    assert alone.startswith("time        quantize about ")
    unknown = look_at_plan(replace(draft, target="a/b", rate=None), "my-run", tmp_path).lines[-1].text
    assert unknown.startswith("report ")


def test_the_plan_without_a_source(tmp_path: Path) -> None:
    report = look_at_plan(Draft("a/b", "starter", "none"), "my-run", tmp_path)
    assert "no model regenerates answers" in "\n".join(line.text for line in report.lines)


def test_the_plan_says_that_the_evaluation_is_short(tmp_path: Path) -> None:
    def evaluation(draft: Draft) -> str:
        lines = look_at_plan(draft, "my-run", tmp_path).lines
        return next(line.text for line in lines if line.text.startswith("evaluate"))

    draft = Draft("a/b", "starter", "none")
    assert evaluation(draft) == "evaluate    compare each quantized model with the original"
    short = evaluation(replace(draft, short=True))
    assert "4,096 tokens of prose and 128 tokens of each answer" in short
    assert "no GPU" in short and "faq.toml says how to measure more" in short
