"""Render and tokenize conversations with a tokenizer and its chat template."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from faq_tui.core.chat.dialects import dialect_of_template, tag_dialects

# Some templates write the current date. With a fixed date, all runs render the same text. The Llama-3 template has
# this date as its default.
DAY = datetime(2024, 7, 26)
DATE = "26 Jul 2024"
# A rendered text may have at most LONGEST characters, plus LONGER characters for each character of the conversation.
LONGEST, LONGER = 1 << 20, 16
DIRECTIVES = [f"%{flag}{letter}" for flag in ("-", "") for letter in "aAbBcdHIjmMpSUwWxXyYZ"]


class NotAssembledError(ValueError):
    """The conversation cannot be assembled. The message names the reason.

    The same reason always gives the same message.
    """


class Template:
    """Renders conversations as text, and encodes text as token ids.

    The chat template adds all special tokens, and the tokenizer adds none.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.eos: str | None = tokenizer.eos_token  # the end token's text; None if there is no end token
        spelled = str(tokenizer.get_chat_template())  # the tokenizer's default template if it has several
        self._pinned = f"{_strftime_now()}{spelled}" if "strftime_now" in spelled else None
        # How the template marks reasoning; None if the template cannot write reasoning.
        self.dialect = dialect_of_template(spelled)
        # A vocabulary may contain reasoning tags that the model never writes. For example, Qwen3-Instruct-2507 has
        # such a vocabulary.
        vocabulary = tokenizer.get_vocab()
        self.reasoning_tags = tuple(  # texts that the model could mistake for reasoning tags
            tag for dialect in tag_dialects() if dialect.knows(spelled, vocabulary) for tag in dialect.tags
        )
        # `_proven` in render.py checks the tags around the reasoning.
        quotable = {tag for dialect in tag_dialects() if dialect.quotable for tag in dialect.tags}
        # Special tokens that no question, reasoning or answer may contain.
        self.specials = tuple(text for text in special_texts(tokenizer) if text not in quotable)

    def render(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = False, **values: bool
    ) -> str:
        """Render the messages. `values` are variables of the template, such as `enable_thinking`.

        Raises NotAssembledError if the template refuses the messages, fails, or writes an absurdly long text. Some
        templates refuse a system message.
        """
        try:
            text = self._tokenizer.apply_chat_template(
                list(messages),
                chat_template=self._pinned,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                date_string=DATE,
                **values,
            )
        except Exception as error:  # noqa: BLE001  a template may raise any exception, such as TypeError
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise NotAssembledError(f"the chat template refuses the conversation: {reason}") from None
        if len(text) > LONGEST + LONGER * sum(len(str(message.get("content"))) for message in messages):
            raise NotAssembledError("the chat template writes far more than the conversation")
        return str(text)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return (token ids, character span of each token).

        Raises NotAssembledError if the ids do not decode to the text.

        Without this check, rare characters could be lost, because some vocabularies do not contain all bytes.
        """
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = list(encoded["input_ids"])
        if _letters(self.decode(ids)) != _letters(text):
            raise NotAssembledError("the target's tokenizer loses characters of the text")
        return ids, [tuple(pair) for pair in encoded["offset_mapping"]]

    def decode(self, ids: list[int] | tuple[int, ...]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def special_texts(tokenizer: Any) -> tuple[str, ...]:
    """The texts of the special tokens, such as `<|im_end|>`.

    No text in a conversation may contain a special token.
    """
    added = tokenizer.added_tokens_decoder.values()
    return tuple(sorted({str(token.content) for token in added if token.special} | set(tokenizer.all_special_tokens)))


def _letters(text: str) -> str:
    """The text without spaces, in Unicode normal form KC. A tokenizer must keep all characters of this text."""
    return re.sub("[ \t\r\n]", "", unicodedata.normalize("NFKC", text))


def _strftime_now() -> str:
    """A Jinja macro that writes a fixed date.

    The macro replaces a function of transformers that writes today's date. A macro is needed because transformers
    passes only plain data to a template, and no functions.
    """
    spelled = "".join(f" | replace({directive!r}, {DAY.strftime(directive)!r})" for directive in DIRECTIVES)
    return f"{{%- macro strftime_now(form) -%}}{{{{ form{spelled} }}}}{{%- endmacro -%}}"
