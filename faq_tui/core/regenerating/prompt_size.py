"""Count the tokens of a prompt, to compute how many tokens of a server's window are left for the answer.

Models of one family have the same tokenizer. If the target's files are on this machine, a prompt for a source of its
family is counted with the target's tokenizer and chat template. For all other sources, the number of tokens is
estimated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.chat.template import Template
from faq_tui.core.endpoints.window import TEMPLATE_TOKENS, room
from faq_tui.core.family.check import check_sources, target_profile
from faq_tui.core.family.verdict import FAMILY
from faq_tui.core.models.tokenizer import tokenizer_of
from faq_tui.core.regenerating.candidate_requests import Question
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED

Counter = Callable[[Question], int]


@dataclass(frozen=True)
class Room:
    """The number of tokens that the window leaves for the answer.

    `tokens` is None if the number is unknown. If `tokens` is 0 or negative, the window has no room for an answer.
    """

    tokens: int | None
    counted: bool  # True if the tokens were counted; False if their number was estimated from the text's length


class PromptSizes:
    """The sizes of the prompts of one source."""

    def __init__(self, run: Run, source: str) -> None:
        self._run, self._source = run, source
        self._lock = asyncio.Lock()
        self._loaded = False
        self._counter: Counter | None = None

    async def room(self, window: int | None, question: Question, max_tokens: int) -> Room:
        """The number of tokens that a window of `window` tokens leaves for an answer to the question.

        The tokens of the prompt are counted only if there may be less room for the answer than `max_tokens` tokens.
        """
        estimate = room(window, question.messages)
        most = sum(len(message["content"].encode("utf-8", "replace")) for message in question.messages)
        # A text has at most as many tokens as bytes. If the number of bytes fits into the window, the tokens need not
        # be counted.
        if window is None or most + TEMPLATE_TOKENS + max_tokens <= window:
            return Room(estimate, False)
        async with self._lock:
            if not self._loaded:
                self._loaded = True
                self._counter = await asyncio.to_thread(_counter_of, self._run, self._source)
        if self._counter is None:
            return Room(estimate, False)
        try:
            return Room(window - self._counter(question), True)
        except Exception:  # noqa: BLE001  the template is foreign code, and may refuse the messages
            return Room(estimate, False)


def _counter_of(run: Run, source: str) -> Counter | None:
    """A function that counts tokens as the target does.

    The result is None if the source is not of the target's family, or if the target's files are not on this machine.
    """
    if not any(found.source == source and found.kinship.verdict == FAMILY for found in check_sources(run)):
        return None
    folder = _tokenizer_folder(run)
    if folder is None:
        return None
    try:
        tokenizer: Any = tokenizer_of(folder, run.settings.target.trust_remote_code)
        template = Template(tokenizer)
    except Exception:  # noqa: BLE001  the stage `assemble` reports a broken tokenizer; here, an estimate is enough
        return None

    def count(question: Question) -> int:
        values = question.extra.get("chat_template_kwargs", {})
        text = template.render(question.messages, add_generation_prompt=True, **values)
        return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    return count


def _tokenizer_folder(run: Run) -> Path | None:
    """The folder with the tokenizer of the target; None if it would have to be downloaded."""
    if run.settings.target.model == EMBEDDED:
        from faq_tui.core.embedded import cached_model

        model = cached_model()
        return None if model is None else model.folder
    files = target_profile(run).files
    tokenizer = files.paths.get("tokenizer.json") if files is not None else None
    return tokenizer.parent if tokenizer is not None else None
