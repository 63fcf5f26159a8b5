"""Whole documents for word perplexity, cut and counted as lm_eval's task wikitext has it.

lm_eval 0.4.13: lm_eval/tasks/wikitext/preprocess_wikitext.py for the counts and the detokenizer, and
`ConfigurableTask.count_words` and `count_bytes` in lm_eval/api/task.py (MIT licence, EleutherAI).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.evaluation.heldout import Heldout, encode_pair, item_of_pair, rolling
from faq_tui.core.evaluation.kinds import LAST_WORD, WORDS
from faq_tui.core.evaluation.texts import (
    PYDOC,
    STARTER,
    WIKITEXT2,
    is_jsonl,
    json_lines,
    load_text,
    starter_file,
    text_of,
)
from faq_tui.core.run.run import Run

KEY = "evaluate.word_perplexity"
PARAGRAPHS = 20  # of the language reference make a document

SPACED = ":;.!?,"  # marks that WikiText sets off with a space on either side


@dataclass(frozen=True)
class Document:
    text: str  # what the model reads
    words: int
    bytes: int

    @classmethod
    def of(cls, page: str, text: str | None = None) -> Document:
        """Words and bytes are those of the page as it is, also where `text` is what was made of it."""
        return cls(page if text is None else text, len(re.split(r"\s+", page)), len(page.encode("utf-8")))


def load_documents(run: Run, name: str) -> list[Document]:
    """A jsonl file has a document ("text", or "page") a line; any other text file is one document as it is."""
    limit = run.settings.evaluate.word_documents
    if name == WIKITEXT2:
        return [Document.of(page, detokenized(page)) for page in _wikitext_pages()[:limit]]
    if name == PYDOC:
        paragraphs = load_text(run, name, KEY).split("\n\n")
        starts = range(0, len(paragraphs), PARAGRAPHS)
        return [Document.of("\n\n".join(paragraphs[start : start + PARAGRAPHS])) for start in starts][:limit]
    if is_jsonl(run, name):
        lines = json_lines(run.resolve(name), KEY, limit)
        found = [Document.of(text_of(value.get("text", value.get("page")), where, "text")) for where, value in lines]
        if not found:
            raise UsageError(f"{run.resolve(name)} of {KEY} is empty: give it a document a line")
        return found
    return [Document.of(load_text(run, name, KEY))]


def heldout_documents(documents: list[Document], tokenizer: object, window: int) -> Heldout:
    """Each document rolled through windows; its words and bytes are shared out by predicted tokens.

    The shares let windows be resampled; their sums are the documents' own counts.
    """
    prefix = prefix_of(tokenizer)
    items, words, lengths = [], [], []
    for document in documents:
        ids = encode_pair(tokenizer, document.text)
        for item in rolling(ids, window, prefix):
            items.append(item)
            words.append(document.words * item.predicted / len(ids))
            lengths.append(document.bytes * item.predicted / len(ids))
    return Heldout(WORDS, items, {"words": words, "bytes": lengths})


def prefix_of(tokenizer: object) -> int:
    """What stands before a document's first token: bos, or eos where there is none (lm_eval's prefix_token_id)."""
    for name in ("bos_token_id", "eos_token_id"):
        found: int | None = getattr(tokenizer, name, None)
        if found is not None:
            return found
    raise FaqError("the target's tokenizer has neither a first nor a last token: word perplexity needs one of them")


def detokenized(page: str) -> str:
    """WikiText's spaced-out tokens as ordinary writing: lm_eval's `wikitext_detokenizer`, step by step."""
    text = page.replace("s '", "s'")
    text = re.sub(r"/' [0-9]/", r"/'[0-9]/", text)
    text = text.replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" @.@ ", ".")
    for mark in SPACED:
        text = text.replace(f" {mark} ", f"{mark} ")
    text = re.sub(r"\(\s*([^\)]*?)\s*\)", r"(\1)", text)
    text = re.sub(r"\[\s*([^\]]*?)\s*\]", r"[\1]", text)
    text = re.sub(r"{\s*([^}]*?)\s*}", r"{\1}", text)
    text = re.sub(r"\"\s*([^\"]*?)\s*\"", r'"\1"', text)
    text = re.sub(r"'\s*([^']*?)\s*'", r"'\1'", text)
    text = text.replace("= = = =", "====").replace("= = =", "===").replace("= =", "==")
    text = text.replace(f" {chr(176)} ", chr(176)).replace(" \n", "\n").replace("\n ", "\n")
    return text.replace(" N ", " 1 ").replace(" 's", "'s")


def _wikitext_pages() -> list[str]:
    from datasets import load_dataset

    try:
        return list(load_dataset("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", split="test")["page"])
    except Exception as error:  # noqa: BLE001  hub client, network and parser errors alike
        reason = " ".join(str(error).split())[:200]
        raise FaqError(
            f"wikitext2 could not be fetched with `datasets` ({reason}): check the network, or name a jsonl file "
            f"of documents in {KEY}"
        ) from None


LAST_WORD_KEY = "evaluate.last_word"
MIN_WORDS, MAX_WORDS = 25, 120  # of a passage that is cut from prose
MIN_LETTERS = 3  # of a last word that is cut from prose: "it" and "of" tell little
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’')]*\s+")


def load_passages(run: Run, name: str) -> list[str]:
    """Passages without the punctuation at their end. Raises UsageError where there are none."""
    limit = run.settings.evaluate.items
    if name == STARTER or is_jsonl(run, name):
        path = starter_file("starter_last_words.jsonl") if name == STARTER else run.resolve(name)
        found = [
            text_of(value.get("text"), where, "text").strip()
            for where, value in json_lines(path, LAST_WORD_KEY, limit)
        ]
    else:
        found = passages(load_text(run, name, LAST_WORD_KEY))[:limit]
    found = [passage for passage in found if " " in passage]
    if not found:
        raise UsageError(f"{name} of {LAST_WORD_KEY} holds no passage of two words or more: name a longer text")
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


def heldout_passages(found: list[str], tokenizer: object, longest: int) -> tuple[Heldout, list[str]]:
    """The last word after all before it, as lm_eval's lambada_openai splits them; and the passages measured."""
    items, kept = [], []
    for passage in found:
        context, _, word = passage.rpartition(" ")
        item = item_of_pair(tokenizer, context, f" {word}", longest)
        if item is not None:
            items.append(item)
            kept.append(passage)
    return Heldout(LAST_WORD, items), kept
