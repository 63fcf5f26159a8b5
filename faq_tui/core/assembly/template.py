"""A tokenizer with its chat template, as the renderer needs it."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from faq_tui.core.target import special_texts

# Llama-3 writes a date into its header, in some versions today's: two runs would differ. Its own default is this one.
DATE = "26 Jul 2024"


class RefusedError(ValueError):
    """This conversation cannot be assembled; the message says why, in words that group well."""


class Template:
    """Conversations to text and text to token ids, with no special tokens added: the template wrote them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.eos: str | None = tokenizer.eos_token
        spelled = str(tokenizer.chat_template)
        # A vocabulary may hold think tags that the model itself never writes, as Qwen3-Instruct-2507's does.
        self.thinks = "<think>" in spelled or "</think>" in spelled
        self.knows_think_tags = self.thinks or "<think>" in tokenizer.get_vocab()
        # Think tags belong to the reasoning's place and are proven there.
        self.specials = tuple(s for s in special_texts(tokenizer) if s not in ("<think>", "</think>"))

    def render(self, messages: list[dict[str, str]], add_generation_prompt: bool = False, **values: bool) -> str:
        """The template's text. `values` are the template's own switches, such as `enable_thinking`.

        RefusedError where the template itself refuses, as some do a system message.
        """
        from jinja2.exceptions import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                date_string=DATE,
                **values,
            )
        except TemplateError as error:
            raise RefusedError(f"the chat template refuses it: {' '.join(str(error).split())[:120]}") from None
        return str(text)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """(token ids, character span of each). RefusedError where the ids do not read as the text.

        Some vocabularies lack bytes, and drop rare characters without a word.
        """
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = list(encoded["input_ids"])
        if _letters(self.decode(ids)) != _letters(text):
            raise RefusedError("the target's tokenizer loses characters")
        return ids, [tuple(pair) for pair in encoded["offset_mapping"]]

    def decode(self, ids: list[int] | tuple[int, ...]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _letters(text: str) -> str:
    """What must survive: tokenizers may bring text into a Unicode normal form, and some move spaces."""
    return re.sub("[ \t\r\n]", "", unicodedata.normalize("NFKC", text))
