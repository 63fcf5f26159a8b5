"""`activation`: how a candidate drives the target. No judge server is needed.

The score is the share (0 to 1) of the target's outlier channels that the sample, as the quantizer would see it,
drives over the threshold that makes them outliers: what a calibration set never drives, a quantizer scales blindly.
Which channels these are is asked of a fixed set of questions, so that a candidate's mark depends on no other seed.
Crest and kurtosis at the outlier layers stand beside it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.chat.render import render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.judging.rendered_candidates import spec_of, target_of, write_items
from faq_tui.core.judging.score import OnMark, Score
from faq_tui.core.run.context import Context
from faq_tui.core.seeds.read import starter_path
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

EVERY = 4  # of the starter questions: 64 of them, of every category


def score_all(context: Context, items: list[tuple[Seed, Candidate]], on_mark: OnMark) -> None:
    """Mark every candidate in a worker child; each mark is handed over when it is there."""
    run = context.run
    target, template = target_of(context)
    candidates = {candidate.id: candidate for _, candidate in items}
    path, reference = run.cache / "activation.jsonl", run.cache / "activation-reference.jsonl"
    write_items(path, template, items, on_mark)
    with atomic_text(reference) as file:
        for ids in reference_rows(template):
            file.write(json.dumps({"input_ids": ids}) + "\n")

    def hear(message: dict[str, Any]) -> None:
        if message["kind"] == "score":
            on_mark(candidates[int(message["id"])], _mark(message))

    spec = {**spec_of(target), "items": str(path), "reference": str(reference)}
    run_worker("judge_activations", spec, hear, context.cancel, run.log(context.job), without_keys(run.settings))
    path.unlink(missing_ok=True)
    reference.unlink(missing_ok=True)


def reference_rows(template: Template) -> list[tuple[int, ...]]:
    """Token ids of the questions that show the outlier channels; what the template refuses is left out."""
    rows = []
    for question in reference_questions():
        try:
            rows.append(render_seed(template, [{"role": "user", "content": question}], None).ids)
        except NotAssembledError:
            continue
    return rows


@cache
def reference_questions() -> tuple[str, ...]:
    lines = starter_path().read_text(encoding="utf-8").splitlines()[::EVERY]
    return tuple(str(json.loads(line)["question"]) for line in lines)


@cache
def reference_hash() -> str:
    return digest(reference_questions())


def _mark(message: dict[str, Any]) -> Score:
    covered, outliers = int(message["covered"]), int(message["outliers"])
    names = ("tokens", "covered", "outliers", "crest", "kurtosis", "layers")
    details = {name: message[name] for name in names}
    if not outliers:
        return Score(None, "the target has no outlier channels to drive", json.dumps(message), details)
    reason = f"drives {covered:,} of the target's {outliers:,} outlier channels"
    return Score(covered / outliers, reason, json.dumps(message), details)
