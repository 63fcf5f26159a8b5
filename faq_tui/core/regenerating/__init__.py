"""How a source is asked, and what is made of its reply."""

from faq_tui.core.regenerating.flags import TRUNCATED, flags_of, unusable_reasons
from faq_tui.core.regenerating.questions import Question, question_for, source_hash_of

__all__ = ["TRUNCATED", "Question", "flags_of", "question_for", "source_hash_of", "unusable_reasons"]
