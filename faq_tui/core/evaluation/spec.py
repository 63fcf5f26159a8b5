"""The job description of one evaluation, which the stage passes to the worker child through a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from faq_tui.core.evaluation.heldout import Heldout, Item
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import ANSWERS
from faq_tui.core.models.hub import local_folder
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.run import Run


@dataclass
class HeldoutQuestion:
    """The token ids of a held-out question, and the token ids of its answer if the answer already exists."""

    seed_id: str
    prompt_ids: list[int]
    ids: list[int]  # token ids of the answer; empty if the answer must be generated


@dataclass(frozen=True)
class Spec:
    model: str  # local folder or hub id of the unquantized target
    trust_remote_code: bool
    device: str  # auto | cpu | cuda
    dtype: str  # auto | float32 | bfloat16 | float16
    batch_size: int
    answer_tokens: int
    cache: str  # folder for files that can be deleted, because they can be computed again

    # all held-out texts except the target's own answers, which the worker may still have to generate
    texts: dict[str, Heldout]
    answers: list[HeldoutQuestion]
    subjects: dict[
        str, tuple[str, str]
    ]  # maps a model's name to (hash of the model, folder); the unquantized model comes first
    stored: dict[str, dict[str, str]]  # stored[subject][text] is the signature of the stored measurement
    metrics: tuple[str, ...] = ()  # names of the metrics that have a token column
    read: str = "auto"  # auto | whole | layers: how the weights are read

    def only(self, subject: str) -> Spec:
        """The part of this description that measures one model.

        The unquantized model stays, because the others are compared with it. What is stored of it is not measured
        again.
        """
        kept = {UNQUANTIZED, subject}
        return replace(
            self,
            subjects={name: value for name, value in self.subjects.items() if name in kept},
            stored={name: value for name, value in self.stored.items() if name in kept},
        )

    def unmeasured(self) -> list[str]:
        """The models without a stored measurement on one of the texts. All models if an answer is missing."""
        if self.missing_answers:
            return list(self.subjects)
        digests = {name: text.digest for name, text in self.texts.items()}
        if self.answers:
            digests[ANSWERS] = Heldout(ANSWERS, self.answer_items()).digest
        return [
            subject
            for subject, (identity, _) in self.subjects.items()
            if any(
                not self.stored.get(subject, {}).get(text, "").startswith(f"{identity}.{items}.")
                for text, items in digests.items()
            )
        ]

    @property
    def missing_answers(self) -> int:
        return sum(not answer.ids for answer in self.answers)

    def answer_items(self) -> list[Item]:
        """Make one item of each question and its answer. The model predicts only the answer's tokens."""
        return [Item((*answer.prompt_ids, *answer.ids), len(answer.prompt_ids)) for answer in self.answers]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Spec:
        texts = {name: Heldout.from_json(text) for name, text in body["texts"].items()}
        answers = [HeldoutQuestion(**answer) for answer in body["answers"]]
        subjects = {name: (identity, folder) for name, (identity, folder) in body["subjects"].items()}
        more = {"texts": texts, "answers": answers, "subjects": subjects, "metrics": tuple(body["metrics"])}
        return cls(**{**body, **more})


DEFAULT = 2048  # If config.json does not state the longest input, this number of tokens is used.

# These keys of config.json are tried in this order, as in lm_eval's resolve_max_length.
KEYS = ("n_positions", "max_position_embeddings", "n_ctx")


def prose_window(run: Run, target: TargetModel) -> int:
    """The number of tokens per window of prose.

    The result is `evaluate.window`, or the target's longest input if the longest input is smaller.
    """
    return min(run.settings.evaluate.window, longest_input(target))


def longest_input(target: TargetModel) -> int:
    """The largest number of tokens that the target can read, from its config.json.

    The result is DEFAULT if config.json does not state this number.
    """
    config: dict[str, Any] = json.loads(
        (local_folder(target.path, only_config=True) / "config.json").read_text(encoding="utf-8")
    )
    inner = config.get("text_config")
    for part in (inner if isinstance(inner, dict) else {}, config):
        for key in KEYS:
            if isinstance(part.get(key), int) and part[key] > 1:
                return int(part[key])
    return DEFAULT
