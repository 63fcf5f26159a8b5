"""Multiple-choice questions, answered by which choice the model finds the most likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.evaluation.heldout import ChoiceQuestion, Heldout, item_of_pair
from faq_tui.core.evaluation.kinds import CHOICES
from faq_tui.core.evaluation.texts import STARTER, json_lines, starter_file, text_of
from faq_tui.core.run.run import Run

KEY = "evaluate.multiple_choice"


@dataclass(frozen=True)
class ChoiceCase:
    question: str
    choices: tuple[str, ...]
    answer: int

    def to_json(self) -> dict[str, Any]:
        return {"question": self.question, "choices": list(self.choices), "answer": self.answer}


def load_questions(run: Run, name: str) -> list[ChoiceCase]:
    """The questions of a file. Raises UsageError on the first one that is none, or if there are none."""
    path = starter_file("starter_choices.jsonl") if name == STARTER else run.resolve(name)
    cases = [_case(value, where) for where, value in json_lines(path, KEY, run.settings.evaluate.items)]
    if not cases:
        raise UsageError(f"{path} of {KEY} is empty: give it a question a line")
    return cases


def _case(value: dict[str, Any], where: str) -> ChoiceCase:
    """`answer` is the index of the right choice, its letter (A, B …), or its text."""
    question = text_of(value.get("question"), where, "question")
    choices, answer = value.get("choices"), value.get("answer")
    if not isinstance(choices, list) or len(choices) < 2:
        raise UsageError(f'{where} has no list "choices" of two or more: mend the line, or leave it out')
    texts = tuple(text_of(choice, where, "choices").strip() for choice in choices)
    if isinstance(answer, str):
        # Beyond ASCII a letter may have two capitals: "ß" becomes "SS".
        letter = ord(answer.upper()) - ord("A") if len(answer) == 1 and answer.isascii() else -1
        answer = texts.index(answer.strip()) if answer.strip() in texts else letter
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(texts):
        raise UsageError(f'{where}: "answer" is not the index (from 0), letter or text of one of its choices')
    return ChoiceCase(question, texts, answer)


def heldout_questions(cases: list[ChoiceCase], tokenizer: object, longest: int) -> tuple[Heldout, list[ChoiceCase]]:
    """Each choice after its question, as lm_eval's arc_easy asks: "Question: …\\nAnswer: choice".

    Also gives the cases that are measured: those whose choices can all be told from the question.
    """
    items, questions, kept = [], [], []
    for case in cases:
        asked = [
            item_of_pair(tokenizer, f"Question: {case.question}\nAnswer:", f" {choice}", longest)
            for choice in case.choices
        ]
        found = [item for item in asked if item is not None]
        if len(found) == len(case.choices):
            items += found
            questions.append(ChoiceQuestion(case.answer, tuple(len(choice) for choice in case.choices)))
            kept.append(case)
    return Heldout(CHOICES, items, questions=questions), kept
