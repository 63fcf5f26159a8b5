"""Let each model write its own answers to the held-out questions with greedy decoding, and compare them.

If two models read the same text, the comparison shows only single wrong predictions. A model's own answer shows where
wrong predictions lead: the model may write a different answer, stop too early, or not stop at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.files import atomic_text
from faq_tui.core.evaluation.answers import end_tokens, generate
from faq_tui.core.evaluation.heldout import Columns, Heldout

# Columns with one number per question.
LENGTH, TARGET_LENGTH = "greedy_tokens", "greedy_target"  # tokens of this model's answer, and of the target's answer
SAME = "greedy_same"  # number of equal tokens before the first difference of the two answers
OFF = "greedy_off"  # absolute difference of the two lengths
UNENDED = "greedy_unended"  # 1 if the answer reached the longest length without an end token, otherwise 0

Answers = list[list[int]]  # token ids of each answer, including the end token


def write_answers(
    model: Any, text: Heldout, batch_size: int, cancel: CancelToken, tick: Callable[[int], None]
) -> Answers:
    """The greedy answers of a Hugging Face causal LM to the items of `text`. Raises Stopped on a request to stop."""
    answers: dict[int, list[int]] = {}
    prompts = [item.ids for item in text.items]
    generate(model, prompts, text.new_tokens, batch_size, cancel, answers.update, tick, greedy=True)
    return [answers[index] for index in range(len(prompts))]


def columns(answers: Sequence[Sequence[int]], target: Sequence[Sequence[int]], model: Any) -> Columns:
    """Compare the answers of `model` with the answers of the unquantized target, one by one."""
    ends, _ = end_tokens(model)
    found: Columns = {name: [] for name in (LENGTH, TARGET_LENGTH, SAME, OFF, UNENDED)}
    for ours, theirs in zip(answers, target, strict=True):
        found[LENGTH].append(float(len(ours)))
        found[TARGET_LENGTH].append(float(len(theirs)))
        found[SAME].append(float(equal_start(ours, theirs)))
        found[OFF].append(float(abs(len(ours) - len(theirs))))
        found[UNENDED].append(float(not ours or ours[-1] not in ends))
    return found


def equal_start(first: Sequence[int], second: Sequence[int]) -> int:
    """The number of tokens before the first difference.

    >>> equal_start([5, 6, 7], [5, 6, 8, 9])
    2
    """
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(first), len(second)))


def answers_path(cache: Path, text_key: str) -> Path:
    """The path of the file with the target's answers. `text_key` is the signature of the target's measurement."""
    return cache / "greedy" / f"{text_key}.json"


def keep_answers(path: Path, answers: Answers) -> None:
    """Store the answers for the comparison with later artefacts."""
    with atomic_text(path) as file:
        json.dump(answers, file)


def kept_answers(path: Path, count: int) -> Answers | None:
    """Read the stored answers. Returns None if the file is missing, damaged, or has another number of answers."""
    with suppress(OSError, ValueError, RecursionError):
        answers = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(answers, list) and len(answers) == count and all(map(_are_ids, answers)):
            return answers
    return None


def _are_ids(answer: object) -> bool:
    return isinstance(answer, list) and all(type(token) is int for token in answer)
