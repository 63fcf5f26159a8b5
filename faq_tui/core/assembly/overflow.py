"""What happens to a sample longer than `max_tokens`, which counts special tokens too."""

from __future__ import annotations

from faq_tui.core.assembly.render import Rendered
from faq_tui.core.assembly.template import RefusedError


def fit(rendered: Rendered, max_tokens: int, overflow: str) -> tuple[int, ...]:
    """At most `max_tokens` ids of the sample. Raises RefusedError where the policy leaves none.

    `keep_answer` cuts the middle of the reasoning; a sample without an answer keeps its head, as calibration
    sets are usually cut.
    """
    ids = rendered.ids
    over = len(ids) - max_tokens
    if over <= 0:
        return ids
    if overflow == "drop":
        raise RefusedError("longer than max_tokens")
    if overflow == "tail":
        return ids[-max_tokens:]
    start, end = rendered.reasoning
    if overflow == "head" or rendered.answer == (0, 0):
        return ids[:max_tokens]
    if over > end - start:
        raise RefusedError("question and answer alone are longer than max_tokens")
    first = start + (end - start - over) // 2
    return ids[:first] + ids[first + over :]
