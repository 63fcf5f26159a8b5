"""The order of one evaluation, as it goes from the stage to the worker child through a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from faq_tui.core.evaluation.heldout import Heldout
from faq_tui.core.evaluation.items import Item


@dataclass
class Answer:
    """A held-out question as token ids, and its answer once there is one."""

    seed_id: str
    prompt_ids: list[int]
    ids: list[int]


@dataclass(frozen=True)
class Spec:
    model: str  # local folder or hub id of the unquantized target
    trust_remote_code: bool
    device: str  # auto | cpu | cuda
    dtype: str  # auto | float32 | bfloat16 | float16
    batch_size: int
    answer_tokens: int
    cache: str  # folder of what can be computed again
    texts: dict[str, Heldout]  # all but the target's own answers, which the worker may still have to make
    answers: list[Answer]
    subjects: dict[str, tuple[str, str]]  # name to (hash of what it is, folder), the unquantized one first
    stored: dict[str, dict[str, str]]  # subject to text to the signature of the stored measurement

    @property
    def missing_answers(self) -> int:
        return sum(not answer.ids for answer in self.answers)

    def answer_items(self) -> list[Item]:
        """The loss is on the answers' tokens only."""
        return [Item((*answer.prompt_ids, *answer.ids), len(answer.prompt_ids)) for answer in self.answers]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Spec:
        texts = {name: Heldout.from_json(text) for name, text in body["texts"].items()}
        answers = [Answer(**answer) for answer in body["answers"]]
        subjects = {name: (identity, folder) for name, (identity, folder) in body["subjects"].items()}
        return cls(**{**body, "texts": texts, "answers": answers, "subjects": subjects})
