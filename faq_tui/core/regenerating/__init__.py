"""Find the pending candidates, request them from the sources, and find out which of them are unusable."""

from faq_tui.core.regenerating.candidate_requests import Question, question_for, source_hash_of
from faq_tui.core.regenerating.flags import TRUNCATED, flags_of, unusable_reasons

__all__ = ["TRUNCATED", "Question", "flags_of", "question_for", "source_hash_of", "unusable_reasons"]
