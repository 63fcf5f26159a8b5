"""The judge `activation`: it measures how many of the target's outlier channels a candidate covers.

The judge needs no server. A candidate is measured in the form of a calibration sample, as the quantizer would get it.
A sample covers a channel if the sample's largest |x| in this channel is above the channel's outlier threshold. The
score is the share (0 to 1) of the target's outlier channels that the sample covers. If no calibration sample covers a
channel, the quantizer cannot choose the scale of this channel well. A fixed set of questions determines the outlier
channels, so that a candidate's score does not depend on other seeds. Crest and kurtosis at the outlier layers are
stored with the score.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.chat.render import render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.judging.judges.base import Score
from faq_tui.core.judging.judges.target_judge import TargetJudge
from faq_tui.core.models.target import fingerprint
from faq_tui.core.run.run import Run
from faq_tui.core.seeds.read import starter_path

EVERY = 4  # use every fourth starter question: 64 questions, from all categories
DETAILS = ("tokens", "covered", "outliers", "crest", "kurtosis", "layers")


class ActivationJudge(TargetJudge):
    name = "activation"
    title = "outlier channels of the target"
    help = "Scores a candidate by the share of the target's outlier channels in which it causes large activations."
    measures = "the share of the target's outlier channels in which an answer causes large activations"
    short = "act"
    version = "activation-1"
    task = "judge_activations"
    close = 0.02  # scores are close if they differ by at most 2% of the outlier channels

    def column_id(self, run: Run) -> str:
        return digest(self.version, fingerprint(run), reference_hash())

    def further_files(self, run: Run, template: Template) -> dict[str, Path]:
        reference = run.cache / "activation-reference.jsonl"
        with atomic_text(reference) as file:
            for ids in reference_rows(template):
                file.write(json.dumps({"input_ids": ids}) + "\n")
        return {"reference": reference}

    def score_of(self, message: Mapping[str, Any]) -> Score:
        covered, outliers = int(message["covered"]), int(message["outliers"])
        details = {name: message[name] for name in DETAILS}
        if not outliers:
            return Score(None, "the target has no outlier channels", json.dumps(message), details)
        reason = f"covers {covered:,} of the target's {outliers:,} outlier channels"
        return Score(covered / outliers, reason, json.dumps(message), details)

    def parts(self, details: Mapping[str, Any]) -> str:
        if "outliers" not in details:
            return ""
        shown = [f"{details['covered']} of {details['outliers']} outlier channels"]
        shown += [f"{name} {details[name]:.3g}" for name in ("crest", "kurtosis") if details.get(name) is not None]
        return self.parts_before_control(shown, details)

    def controlled(self, score: float, details: Mapping[str, Any]) -> str:  # noqa: ARG002
        return f"{score:.2f} after length control; without it, a score is the share of the target's outlier channels"


def reference_rows(template: Template) -> list[tuple[int, ...]]:
    """Token ids of the questions that determine the outlier channels.

    Questions that the template refuses are left out.
    """
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


JUDGE = ActivationJudge()
