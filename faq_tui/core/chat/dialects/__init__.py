"""Reasoning dialects. A dialect describes how a family of models writes the reasoning before an answer.

`base.py` defines the class of all dialects.
`families.py` defines the dialects that ship with faq-tui.
`replies.py` splits replies that do not keep to the tags of a dialect.
`reading.py` uses all installed dialects to split a whole or streamed reply into reasoning and answer.
"""

from faq_tui.core.chat.dialects.base import ReasoningDialect
from faq_tui.core.chat.dialects.reading import (
    ReasoningStream,
    begins_with_reasoning,
    closing_tags,
    dialect_of_template,
    opened_by,
    response_fields,
    special_tokens,
    split_reasoning,
    split_reply,
    tag_dialects,
    tag_pattern,
)

__all__ = [
    "ReasoningDialect",
    "ReasoningStream",
    "begins_with_reasoning",
    "closing_tags",
    "dialect_of_template",
    "opened_by",
    "response_fields",
    "special_tokens",
    "split_reasoning",
    "split_reply",
    "tag_dialects",
    "tag_pattern",
]
