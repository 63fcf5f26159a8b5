"""Passages whose last word is to be found, in LAMBADA's form (Paperno et al. 2016)."""

from __future__ import annotations

import re

from faq_tui.core.errors import UsageError
from faq_tui.core.evaluation.heldout import Heldout
from faq_tui.core.evaluation.kinds import LAST_WORD
from faq_tui.core.evaluation.pairs import pair
from faq_tui.core.evaluation.reading import STARTER, is_jsonl, json_lines, starter_path, text_of
from faq_tui.core.evaluation.texts import load_text
from faq_tui.core.run import Run

KEY = "evaluate.last_word"
MIN_WORDS, MAX_WORDS = 25, 120  # of a passage that is cut from prose
MIN_LETTERS = 3  # of a last word that is cut from prose: "it" and "of" tell little
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’')]*\s+")


def load(run: Run, name: str) -> list[str]:
    """Passages without the punctuation at their end. Raises UsageError where there are none."""
    limit = run.settings.evaluate.items
    if name == STARTER or is_jsonl(run, name):
        path = starter_path("starter_last_words.jsonl") if name == STARTER else run.resolve(name)
        found = [text_of(value.get("text"), where, "text").strip() for where, value in json_lines(path, KEY, limit)]
    else:
        found = passages(load_text(run, name, KEY))[:limit]
    found = [passage for passage in found if " " in passage]
    if not found:
        raise UsageError(f"{name} of {KEY} holds no passage of two words or more: name a longer text")
    return found


def passages(text: str) -> list[str]:
    """Runs of whole sentences of a paragraph, long enough to tell what the last word must be."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        words: list[str] = []
        for sentence in SENTENCE_END.split(" ".join(paragraph.split())):
            words += sentence.split()
            if len(words) < MIN_WORDS:
                continue
            passage = " ".join(words[-MAX_WORDS:])
            last = passage.rpartition(" ")[2]
            word = last.rstrip(".!?\"”’')")
            # What a cut between sentences left unfinished, or a name in markup, is no last word.
            if word.isalpha() and len(word) >= MIN_LETTERS and last[len(word) :].startswith((".", "!", "?")):
                found.append(passage[: len(passage) - len(last) + len(word)])
            words = []
    return found


def heldout(found: list[str], tokenizer: object, longest: int) -> tuple[Heldout, list[str]]:
    """The last word after all before it, as lm_eval's lambada_openai splits them; and the passages measured."""
    items, kept = [], []
    for passage in found:
        context, _, word = passage.rpartition(" ")
        item = pair(tokenizer, context, f" {word}", longest)
        if item is not None:
            items.append(item)
            kept.append(passage)
    return Heldout(LAST_WORD, items), kept
