"""Reasoning dialects: how families of models write down what they think before they answer.

base.py      what a dialect is
families.py  the dialects that faq-tui brings
lookup.py    the installed dialects, those of other packages included
text.py      reasoning split off a reply's text, whole or while it arrives
"""

from faq_tui.core.chat.dialects.base import ReasoningDialect
from faq_tui.core.chat.dialects.reading import (
    ReasoningStream,
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
    "closing_tags",
    "dialect_of_template",
    "opened_by",
    "response_fields",
    "special_tokens",
    "split_reasoning",
    "tag_dialects",
    "tag_pattern",
]
