"""The base class of reasoning dialects. A dialect describes how a family of models marks the reasoning."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from faq_tui.core.extensions import Extension


@dataclass(frozen=True)
class ReasoningDialect(Extension):
    """How one family of models marks the reasoning: by tags in the text, or by fields of a message.

    Raises ValueError if only one of `open` and `close` is given. Raises ValueError if a tag begins or ends with white
    space.
    """

    name: str
    title: str
    help: str
    # The tags before and after the reasoning in a model's text, without white space around the tags. If the dialect
    # has only response fields and no tags, `open` and `close` are "".
    open: str = ""
    close: str = ""
    # The same tags with the white space that the model writes around the tags. The defaults are `open` and `close`.
    opening: str = ""
    closing: str = ""
    response_fields: tuple[str, ...] = ()  # fields of a server's message or delta that hold only the reasoning
    # Tokens that the screen shows in the style of special tokens. The default is `open` and `close`.
    special_tokens: tuple[str, ...] = ()
    # True if a chat template may end the prompt with `open`, so that a reply contains only `close`.
    opened_by_prompt: bool = False
    quotable: bool = False  # True if a question may contain the tags as plain text, even if they are special tokens
    in_templates: bool = True  # False if chat templates expect the reasoning in an unknown form
    plain: tuple[int, int] = (0, 0)  # number of times that `open` and `close` occur in a turn without reasoning

    def __post_init__(self) -> None:
        if bool(self.open) != bool(self.close):
            raise ValueError(f"the dialect {self.name!r} needs both `open` and `close`, or neither")
        if any(tag != tag.strip() for tag in self.tags):
            raise ValueError(
                f"`open` and `close` of the dialect {self.name!r} must not begin or end with white space"
            )
        for name, default in (("opening", self.open), ("closing", self.close), ("special_tokens", self.tags)):
            if not getattr(self, name):
                object.__setattr__(self, name, default)

    @property
    def tags(self) -> tuple[str, ...]:
        """The pair (`open`, `close`); an empty tuple if the dialect has no tags."""
        return (self.open, self.close) if self.open else ()

    def split(self, text: str) -> tuple[str, str, bool] | None:
        """Split a text that begins with `open` into (reasoning, answer, closed). Returns None for any other text.

        If `close` is missing, `closed` is False and the answer is empty.
        """
        if not self.open or not text.lstrip().startswith(self.open):
            return None
        body = text.partition(self.open)[2]
        reasoning, close, answer = body.partition(self.close)
        return reasoning.strip(), answer.strip(), bool(close)

    def split_reply(self, text: str) -> tuple[str, str, bool] | None:
        """Split a whole reply of a server as `split` does.

        The server may have removed or added tokens of the family.
        """
        return self.split(text)

    def writes(self, template: str) -> bool:
        """True if the chat template with the Jinja source `template` writes reasoning in this dialect."""
        return self.in_templates and any(tag in template for tag in self.tags)

    def knows(self, template: str, vocabulary: Container[str]) -> bool:
        """True if the model could mistake `open` in a text for one of its own reasoning tags.

        `template` is the source of the model's chat template, and `vocabulary` holds the model's tokens.
        """
        return self.writes(template) or (self.in_templates and bool(self.open) and self.open in vocabulary)

    def message(self, reasoning: str, answer: str) -> dict[str, Any]:
        """Make the fields of an assistant's message.

        The fields have the names that the family's chat templates read.
        """
        return {"content": answer, "reasoning_content": reasoning}
