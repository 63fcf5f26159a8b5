"""How templates spell reasoning: between tags, in a channel of its own, or as a block of the content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.chat.think_tags import CLOSE, OPEN


@dataclass(frozen=True)
class TemplateReasoning:
    """`opening` and `closing` as the model itself writes them round its reasoning; `open` and `close` without
    white space. `said` makes what goes into the assistant's message, so that the template finds the reasoning.
    """

    open: str
    close: str
    opening: str
    closing: str
    said: Callable[[str, str], dict[str, Any]]  # (reasoning, answer)
    plain: tuple[int, int] = (0, 0)  # how often `open` and `close` stand in a turn without reasoning


TAGS = TemplateReasoning(
    OPEN,
    CLOSE,
    f"{OPEN}\n",
    f"\n{CLOSE}\n\n",
    lambda reasoning, answer: {"content": answer, "reasoning_content": reasoning},
)
_ANALYSIS = "<|channel|>analysis<|message|>"
_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
CHANNELS = TemplateReasoning(  # gpt-oss
    _ANALYSIS,
    _FINAL,
    _ANALYSIS,
    _FINAL,
    lambda reasoning, answer: {"content": answer, "thinking": reasoning},
    plain=(0, 1),
)
BLOCKS = TemplateReasoning(  # Magistral, Ministral
    "[THINK]",
    "[/THINK]",
    "[THINK]",
    "[/THINK]",
    lambda reasoning, answer: {
        "content": [{"type": "thinking", "thinking": reasoning}, {"type": "text", "text": answer}]
    },
)


def template_reasoning_of(template: str) -> TemplateReasoning | None:
    """What the template's own text shows of it; None for a model that reasons in its answer, or not at all."""
    return next(
        (style for style in (CHANNELS, BLOCKS, TAGS) if style.open in template or style.close in template), None
    )
