"""What happens to a sample longer than `max_tokens`, which counts special tokens too."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.chat.render import Rendered
from faq_tui.core.chat.template import NotAssembledError


@dataclass(frozen=True)
class Truncated:
    """What is kept of a sample."""

    ids: tuple[int, ...]
    answer_end: int  # where its whole answer ends, in tokens; 0 where it has none, or none whole


def truncate(rendered: Rendered, max_tokens: int, overflow: str) -> tuple[int, ...]:
    """At most `max_tokens` ids of the sample. Raises RefusedError where the policy leaves none."""
    return truncate_traced(rendered, max_tokens, overflow).ids


def truncate_traced(rendered: Rendered, max_tokens: int, overflow: str) -> Truncated:
    """The same, with what becomes of the answer.

    `keep_answer` cuts the middle of the reasoning; a sample without reasoning and without an answer keeps its
    head, as calibration sets are usually cut. `head` and `tail` keep that end, `drop` refuses.
    """
    first, second = _kept(rendered, max_tokens, overflow)
    ids, (start, end) = rendered.ids, rendered.answer
    whole = 0
    for part, before in ((first, 0), (second, len(first))):
        if start < end and part.start <= start and end <= part.stop:
            whole = before + end - part.start
    return Truncated(ids[first.start : first.stop] + ids[second.start : second.stop], whole)


def cut_to_budget(rendered: Rendered, max_tokens: int) -> Truncated:
    """The first `max_tokens` ids: the question, and the beginning of what is said to it.

    Raises RefusedError where the question alone is as long. The end token goes with the rest: an answer that
    breaks off is no turn that ended.
    """
    said = min((span[0] for span in (rendered.reasoning, rendered.answer) if span != (0, 0)), default=0)
    if said >= max_tokens:
        raise NotAssembledError("the question alone is longer than tokens_per_sample")
    return truncate_traced(rendered, max_tokens, "head")


def _kept(rendered: Rendered, max_tokens: int, overflow: str) -> tuple[range, range]:
    """The positions that stay, in two pieces."""
    total = len(rendered.ids)
    over = total - max_tokens
    nothing = range(total, total)
    if over <= 0:
        return range(total), nothing
    if overflow == "drop":
        raise NotAssembledError("longer than max_tokens")
    if overflow == "tail":
        return range(over, total), nothing
    start, end = rendered.reasoning
    if overflow == "head" or rendered.answer == (0, 0):
        return range(max_tokens), nothing
    if over > end - start:
        raise NotAssembledError("question and answer alone are longer than max_tokens")
    first = start + (end - start - over) // 2
    return range(first), range(first + over, total)
