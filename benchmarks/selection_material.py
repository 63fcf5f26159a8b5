"""The texts of selection.py: questions, and the model's own answers to them. Part of selection.py.

A material folder has one file, `material.json`. The program writes it once, with the model itself as the elder:

- `questions`: a list of {question, reference, greedy, sampled, scores}. `reference` is the answer in the file of
  questions, or null. `greedy` is the model's own answer. `sampled` maps a temperature to a list of further answers.
  `scores` has one score for each answer of the first temperature: its mean log-probability under the model.
- `own_questions`: a list of {question, greedy}, with questions that the model wrote itself.

A folder with answers of another elder or scores of another judge has the same form.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from faq_tui.core.base.files import atomic_text

TEMPERATURES = (0.7, 1.0)
CANDIDATES = {0.7: 3, 1.0: 1}  # number of sampled answers to each question, by temperature
QUESTION_TOKENS = 64  # maximum tokens of a question that the model writes itself
BATCH = 2048  # answers that are generated together
SEED = 0
MARK = "\ue000question\ue001"


@dataclass
class Asked:
    question: str
    reference: str | None = None
    greedy: str = ""
    sampled: dict[str, list[str]] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)


@dataclass
class Material:
    questions: list[Asked]
    own_questions: list[Asked]


def load(path: Path) -> Material | None:
    """The material in the folder `path`; None if it was not made yet."""
    file = path / "material.json"
    if not file.is_file():
        return None
    body = json.loads(file.read_text(encoding="utf-8"))
    return Material(*([Asked(**one) for one in body[name]] for name in ("questions", "own_questions")))


def save(path: Path, material: Material) -> None:
    path.mkdir(parents=True, exist_ok=True)
    with atomic_text(path / "material.json") as file:
        json.dump(asdict(material), file, ensure_ascii=False)


def read_questions(path: Path | None, limit: int) -> list[Asked]:
    """Questions from a JSONL file with the keys `question` and perhaps `answer`; by default, the starter seeds."""
    file = path or Path(str(files("faq_tui.core.data") / "starter_seeds.jsonl"))
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    asked = [Asked(row["question"], row.get("answer")) for row in rows]
    return asked[:limit] if limit else asked


def make(model: Any, tokenizer: Any, questions: list[Asked], answer_tokens: int, score: Any) -> Material:
    """Generate all texts. `score` maps (question, answer) pairs to their mean log-probabilities."""
    import torch

    torch.manual_seed(SEED)
    prompts = [prompt_of(tokenizer, one.question) for one in questions]
    for one, answer in zip(questions, generate(model, tokenizer, prompts, answer_tokens), strict=True):
        one.greedy = answer
    for temperature in TEMPERATURES:
        repeated = prompts * CANDIDATES[temperature]
        for index, answer in enumerate(generate(model, tokenizer, repeated, answer_tokens, temperature)):
            questions[index % len(questions)].sampled.setdefault(str(temperature), []).append(answer)
    first = str(TEMPERATURES[0])
    pairs = [(one.question, answer) for one in questions for answer in one.sampled[first]]
    scores = iter(score(pairs))
    for one in questions:
        one.scores = [next(scores) for _ in one.sampled[first]]
    written = generate(model, tokenizer, [opening_of(tokenizer)] * len(questions), QUESTION_TOKENS, 1.0)
    own = [Asked(text) for text in dict.fromkeys(text.strip() for text in written) if text]
    prompts = [prompt_of(tokenizer, one.question) for one in own]
    for one, answer in zip(own, generate(model, tokenizer, prompts, answer_tokens), strict=True):
        one.greedy = answer
    return Material(questions, own)


def prompt_of(tokenizer: Any, question: str) -> str:
    turns = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def opening_of(tokenizer: Any) -> str:
    """The template's text before the user's question. The model continues it with a question."""
    return prompt_of(tokenizer, MARK).partition(MARK)[0]


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[str], tokens: int, temperature: float | None = None
) -> list[str]:
    """One continuation of each prompt, without special tokens. Without `temperature`, decoding is greedy."""
    import torch

    if not prompts:
        return []
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    how: dict[str, Any] = {"do_sample": False}
    if temperature is not None:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    order, texts = sorted(range(len(prompts)), key=lambda index: len(prompts[index])), [""] * len(prompts)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        batch = tokenizer(
            [prompts[index] for index in part], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            made = model.generate(
                **{name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")},
                max_new_tokens=tokens,
                pad_token_id=tokenizer.pad_token_id,
                **how,
            )
        for index, ids in zip(part, made[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            texts[index] = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return texts
