"""How a source is asked, and what is made of its reply."""

from faq_tui.core.regenerating.ask import Question, generation_of, question_for
from faq_tui.core.regenerating.flags import TRUNCATED, flags_of, why_unfit

__all__ = ["TRUNCATED", "Question", "flags_of", "generation_of", "question_for", "why_unfit"]
