"""Read whole documents for word perplexity.

Documents are split, and their words are counted, as in lm_eval's task wikitext. The counts and the detokenizer follow
lm_eval/tasks/wikitext/preprocess_wikitext.py of lm_eval 0.4.13, and `ConfigurableTask.count_words` and `count_bytes`
in lm_eval/api/task.py (MIT licence, EleutherAI).
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
PARAGRAPHS = 20  # a document of the text "pydoc" consists of this number of paragraphs of Python's language reference

SPACED = ":;.!?,"  # WikiText has a space before and after these punctuation marks


@dataclass(frozen=True)
class Document:
    text: str  # the text that the model reads
    words: int
    bytes: int

    @classmethod
    def of(cls, page: str, text: str | None = None) -> Document:
        """Make a document.

        The model may read a detokenized `text`, but words and bytes are counted in the original `page`.
        """
        return cls(page if text is None else text, len(re.split(r"\s+", page)), len(page.encode("utf-8")))


def load_documents(run: Run, name: str) -> list[Document]:
    """The documents of a held-out text.

    In a .jsonl file, the field "text" or "page" of each line is one document. Any other file is one document.
    """
    limit = run.settings.evaluate.word_documents
    if name == WIKITEXT2:
        return [Document.of(page, detokenized(page)) for page in _wikitext_pages()[:limit]]
    if name == PYDOC:
        paragraphs = load_text(run, name, KEY).split("\n\n")
        starts = range(0, len(paragraphs), PARAGRAPHS)
        return [Document.of("\n\n".join(paragraphs[start : start + PARAGRAPHS])) for start in starts][:limit]
    if is_jsonl(run, name):
        lines = json_lines(run.resolve(name), KEY, limit)
        documents = [
            Document.of(text_of(value.get("text", value.get("page")), where, "text")) for where, value in lines
        ]
        if not documents:
            raise UsageError(f"{run.resolve(name)} of {KEY} is empty: add one document per line")
        return documents
    return [Document.of(load_text(run, name, KEY))]


def heldout_documents(documents: list[Document], tokenizer: object, window: int) -> Heldout:
    """Split each document into windows.

    The words and bytes of the document are divided among its windows, in proportion to the number of predicted tokens
    in each window. Each window has its own numbers of words and bytes, so that the bootstrap can draw single windows.
    Together, the windows of a document have all words and bytes of the document.
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
    """The token that is put before a document's first token.

    The bos token is put there, or the eos token if the tokenizer has no bos token.

    lm_eval calls this token prefix_token_id.
    """
    for name in ("bos_token_id", "eos_token_id"):
        token_id: int | None = getattr(tokenizer, name, None)
        if token_id is not None:
            return token_id
    raise FaqError("the target's tokenizer has neither a bos nor an eos token, and word perplexity needs one of them")


def detokenized(page: str) -> str:
    """Turn WikiText's spaced tokens into ordinary text, as lm_eval's `wikitext_detokenizer` does."""
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
            f"wikitext2 could not be fetched with `datasets` ({reason}): check the network, or put a jsonl file "
            f"of documents into {KEY}"
        ) from None
