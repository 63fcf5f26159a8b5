"""Cut samples that are longer than `max_tokens`, which includes special tokens."""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.chat.render import Rendered
from faq_tui.core.chat.template import NotAssembledError


@dataclass(frozen=True)
class Truncated:
    """The kept part of a rendered conversation."""

    ids: tuple[int, ...]
    kinds: bytes  # kind of each kept token
    answer_end: int  # token offset of the end of the uncut answer; 0: no answer, or a cut one


def truncate(rendered: Rendered, max_tokens: int, overflow: str) -> Truncated:
    """At most `max_tokens` tokens of the conversation. Raises NotAssembledError if the policy keeps none.

    `keep_answer` cuts the middle of the reasoning; a sample without reasoning and answer keeps its start,
    as is usual for calibration sets. `head` keeps the start, `tail` the end, and `drop` refuses the sample.
    """
    first, second = _kept(rendered, max_tokens, overflow)
    ids, (start, end) = rendered.ids, rendered.answer
    whole = 0
    for part, before in ((first, 0), (second, len(first))):
        if start < end and part.start <= start and end <= part.stop:
            whole = before + end - part.start
    kinds = rendered.kinds
    return Truncated(
        ids[first.start : first.stop] + ids[second.start : second.stop],
        kinds[first.start : first.stop] + kinds[second.start : second.stop],
        whole,
    )


def cut_to_budget(rendered: Rendered, max_tokens: int) -> Truncated:
    """The first `max_tokens` tokens: the question, and the beginning of the reply.

    Raises NotAssembledError if the question alone fills the budget. The end token is cut, too, because a truncated
    answer does not end a turn.
    """
    reply_start = min((span[0] for span in (rendered.reasoning, rendered.answer) if span != (0, 0)), default=0)
    if reply_start >= max_tokens:
        raise NotAssembledError("the question alone is longer than tokens_per_sample")
    return truncate(rendered, max_tokens, "head")


def _kept(rendered: Rendered, max_tokens: int, overflow: str) -> tuple[range, range]:
    """The kept positions, in two ranges."""
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
