"""Reasoning dialects: how families of models write the reasoning before an answer.

base.py      what a dialect is
families.py  the dialects that faq-tui brings
reading.py   the installed dialects together, and splitting reasoning from a reply, whole or streamed
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
    "tag_dialects",
    "tag_pattern",
]
