"""Whole documents for word perplexity, cut and counted as lm_eval's task wikitext has it.

lm_eval 0.4.13: lm_eval/tasks/wikitext/preprocess_wikitext.py for the counts and the detokenizer, and
`ConfigurableTask.count_words` and `count_bytes` in lm_eval/api/task.py (MIT licence, EleutherAI).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.evaluation.heldout import Heldout, encode_pair, rolling
from faq_tui.core.evaluation.kinds import WORDS
from faq_tui.core.evaluation.texts import PYDOC, WIKITEXT2, is_jsonl, json_lines, load_text, text_of
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
