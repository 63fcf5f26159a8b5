"""Which judge a mark belongs to: another judge marks anew, and regenerates nothing."""

from __future__ import annotations

from faq_tui.core.prompts import JUDGE, load_prompt
from faq_tui.core.run import Run
from faq_tui.core.store.hashing import digest
from faq_tui.core.target import fingerprint


def judge_id(run: Run) -> str:
    """A hash of all that shapes a mark besides the candidate."""
    judge = run.settings.judge
    if judge.kind == "likelihood":
        return digest("likelihood", fingerprint(run))
    return digest("llm", judge.model, load_prompt(JUDGE).version, judge.max_tokens, judge.reasoning_characters)
