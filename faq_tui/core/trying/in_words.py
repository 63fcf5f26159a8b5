"""Short texts about an answer: its speed, its memory, and where it departs from the unquantized model's answer."""

from __future__ import annotations

from faq_tui.core.base.text import duration
from faq_tui.core.trying.answer import TriedAnswer
from faq_tui.core.trying.departure import AnswerComparison

WORDS = {"waiting": "waiting", "loading": "loading the model", "stopped": "stopped", "failed": "failed"}


def figures_in_words(answer: TriedAnswer) -> list[str]:
    """The state, the number of tokens, the speed and the memory of an answer, as short texts."""
    words = [WORDS[answer.state]] if answer.state in WORDS else []
    if answer.count:
        words.append(f"{answer.count:,} token{'s' if answer.count > 1 else ''}")
    if answer.rate is not None:
        words.append(f"{answer.rate:.1f} tokens/s")
    if answer.memory_mb is not None:
        words.append(memory_in_words(answer.memory_mb))
    if answer.state == "done" and answer.finish_reason == "length":
        words.append("cut at the limit")
    if answer.load_seconds is not None and answer.ended:
        words.append(f"loaded in {duration(answer.load_seconds, exact=True)}")
    return words


def memory_in_words(megabytes: float) -> str:
    """The memory in GB, or in MB if it is less than 1 GB."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def departure_in_words(found: AnswerComparison, reference: TriedAnswer, answer: TriedAnswer) -> str:
    """A phrase that says up to which token the answer equals the unquantized model's answer; "" if there is nothing
    to compare yet.
    """
    if reference.state in ("failed", "waiting", "loading") or answer.state in ("failed", "waiting", "loading"):
        return ""
    unit = "token" if found.by_token else "character"
    number = f"{found.equal:,} equal {unit}{'' if found.equal == 1 else 's'}"
    if found.departed:
        return f"{number}, then it ends" if found.ends else number
    both = reference.state == "done" and answer.state == "done"
    return f"equal, all {found.equal:,} {unit}s" if both else number
