"""Read held-out items that have a right answer: multiple-choice questions and passages.

The model's answer to a multiple-choice question is the choice that the model finds most likely. A passage has the
form of LAMBADA (Paperno et al. 2016): the model must predict the last word of the passage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.evaluation.heldout import ChoiceQuestion, Heldout, item_of_pair
from faq_tui.core.evaluation.kinds import CHOICES, LAST_WORD
from faq_tui.core.evaluation.texts import STARTER, is_jsonl, json_lines, load_text, starter_file, text_of
from faq_tui.core.run.run import Run

CHOICES_KEY = "evaluate.multiple_choice"
LAST_WORD_KEY = "evaluate.last_word"
MIN_WORDS, MAX_WORDS = 25, 120  # a passage that is cut from prose has at least 25 and at most 120 words

# The last word of a passage that is cut from prose has at least this many letters. Shorter words are too easy to
# predict.
MIN_LETTERS = 3
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’')]*\s+")


@dataclass(frozen=True)
class ChoiceCase:
    question: str
    choices: tuple[str, ...]
    answer: int

    def to_json(self) -> dict[str, Any]:
        return {"question": self.question, "choices": list(self.choices), "answer": self.answer}


def load_questions(run: Run, name: str) -> list[ChoiceCase]:
    """The questions of a file. Raises UsageError if a question is invalid, or if the file has no question."""
    path = starter_file("starter_choices.jsonl") if name == STARTER else run.resolve(name)
    cases = [_case(value, where) for where, value in json_lines(path, CHOICES_KEY, run.settings.evaluate.items)]
    if not cases:
        raise UsageError(f"{path} of {CHOICES_KEY} is empty: add one question per line")
    return cases


def _case(value: dict[str, Any], where: str) -> ChoiceCase:
    """Read one question. `answer` is the index of the right choice, its letter (A, B …), or its text."""
    question = text_of(value.get("question"), where, "question")
    choices, answer = value.get("choices"), value.get("answer")
    if not isinstance(choices, list) or len(choices) < 2:
        raise UsageError(f'{where} has no list "choices" with two or more entries: correct or delete the line')
    texts = tuple(text_of(choice, where, "choices").strip() for choice in choices)
    if isinstance(answer, str):
        # The method upper() may return two letters for one letter. For example, "ß" becomes "SS".
        letter = ord(answer.upper()) - ord("A") if len(answer) == 1 and answer.isascii() else -1
        answer = texts.index(answer.strip()) if answer.strip() in texts else letter
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(texts):
        raise UsageError(f'{where}: "answer" is not the index (from 0), letter or text of one of its choices')
    return ChoiceCase(question, texts, answer)


def heldout_questions(cases: list[ChoiceCase], tokenizer: object, longest: int) -> tuple[Heldout, list[ChoiceCase]]:
    """Make an item of each choice, with the question as context.

    The form is that of lm_eval's task arc_easy: "Question: …\\nAnswer: choice".

    Also returns the questions that are measured. A question is left out if one of its choices has no token to
    predict.
    """
    items, questions, kept = [], [], []
    for case in cases:
        choice_items = [
            item_of_pair(tokenizer, f"Question: {case.question}\nAnswer:", f" {choice}", longest)
            for choice in case.choices
        ]
        usable = [item for item in choice_items if item is not None]
        if len(usable) == len(case.choices):
            items += usable
            questions.append(ChoiceQuestion(case.answer, tuple(len(choice) for choice in case.choices)))
            kept.append(case)
    return Heldout(CHOICES, items, questions=questions), kept


def load_passages(run: Run, name: str) -> list[str]:
    """Read the passages, without their final punctuation. Raises UsageError if there is no passage."""
    limit = run.settings.evaluate.items
    if name == STARTER or is_jsonl(run, name):
        path = starter_file("starter_last_words.jsonl") if name == STARTER else run.resolve(name)
        texts = [
            text_of(value.get("text"), where, "text").strip()
            for where, value in json_lines(path, LAST_WORD_KEY, limit)
        ]
    else:
        texts = passages(load_text(run, name, LAST_WORD_KEY))[:limit]
    texts = [passage for passage in texts if " " in passage]
    if not texts:
        raise UsageError(f"{name} of {LAST_WORD_KEY} holds no passage of two words or more: give a longer text")
    return texts


def passages(text: str) -> list[str]:
    """Cut each paragraph into passages of at least MIN_WORDS and at most MAX_WORDS words.

    A passage ends where a sentence ends.
    """
    cut = []
    for paragraph in re.split(r"\n\s*\n", text):
        words: list[str] = []
        for sentence in SENTENCE_END.split(" ".join(paragraph.split())):
            words += sentence.split()
            if len(words) < MIN_WORDS:
                continue
            passage = " ".join(words[-MAX_WORDS:])
            last = passage.rpartition(" ")[2]
            word = last.rstrip(".!?\"”’')")
            # Skip a passage that ends in markup. SENTENCE_END may also match in the middle of a sentence. Skip a
            # passage that would end there.
            if word.isalpha() and len(word) >= MIN_LETTERS and last[len(word) :].startswith((".", "!", "?")):
                cut.append(passage[: len(passage) - len(last) + len(word)])
            words = []
    return cut


def heldout_passages(candidates: list[str], tokenizer: object, longest: int) -> tuple[Heldout, list[str]]:
    """Make an item of each passage, as in lm_eval's task lambada_openai. The model predicts only the last word.

    Also returns the passages that are measured.
    """
    items, kept = [], []
    for passage in candidates:
        context, _, word = passage.rpartition(" ")
        item = item_of_pair(tokenizer, context, f" {word}", longest)
        if item is not None:
            items.append(item)
            kept.append(passage)
    return Heldout(LAST_WORD, items), kept
