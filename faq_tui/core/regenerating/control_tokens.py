"""Find control tokens in a reply, because no calibration text may contain a special token of the target.

Control tokens in a reply have three causes: the server uses a wrong chat template, the model goes on with the user's
next turn, or the model uses tags that no dialect knows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from faq_tui.core.models.tokenizer import control_tokens
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source

# Matches tokens of chat templates anywhere in the text.
_KNOWN = re.compile(
    r"<\|(?:im_(?:start|end|sep)|e[ot]+[tm]_id|(?:start|end)_header_id|(?:begin|end)_of_text|endoftext|start|end|channel"
    r"|message|return|call|constrain|user|assistant|system|eot|end_of_role|start_of_role|(?:START|END)_[A-Z_]+)\|>"
    r"|<(?:start|end)_of_turn>|<\|turn>|<turn\|>|\[/?INST\]|<seed:[be]os>|<｜[^<>｜\n]{1,40}｜>"
)
# Matches a text at the start of an answer if the text looks like a special token.
_AT_START = re.compile(r"<\|[^<>|\s]{1,60}\|?>|<[\w/-]{1,40}\|>|(\[)([A-Z_]{2,30})\](?=.*\[/\2\])", re.DOTALL)
_TOOL_CALL = re.compile(
    r"\s*(?:<\|?tool_calls?\|?>|\[TOOL_CALLS\]|<\|python_tag\|>|<function=|<tools?_calls?[ >]|<｜tool▁calls▁begin｜>"
    r"|<\|tool_calls_section_begin\|>|functools\[|<\|action_start\|>)"
)


class ControlTokens:
    """The control tokens that make a reply unusable. `of` maps each token to the model that it belongs to."""

    def __init__(self, of: Mapping[str, str] | None = None) -> None:
        self._of = of or {}
        # the key is two characters; the value is the set of lengths of the tokens that begin with these characters
        self._lengths: dict[str, set[int]] = defaultdict(set)
        for token in self._of:
            self._lengths[token[:2]].add(len(token))

    @classmethod
    def of_run(cls, run: Run, source: Source) -> ControlTokens:
        """The special tokens of the target, and of the source if its files are on this machine."""
        of_source = dict.fromkeys(control_tokens(run, source.files or source.model), "the source")
        return cls(of_source | dict.fromkeys(control_tokens(run, run.settings.target.model), "the target"))

    def found_in(self, reasoning: str, answer: str, question: str) -> str | None:
        """The reason why the reply is unusable; None if it has no control token.

        If the question contains a token of another model's chat template, the reply may contain this token, too.
        """
        for text in (answer, reasoning):
            token = self._special_in(text)
            if token is not None:
                return f"it contains {token}, a special token of {self._of[token]}"
        first = _AT_START.match(answer.lstrip())
        for match in [*([first] if first else []), *_matches((answer, reasoning))]:
            if match[0] not in question:
                return f"it contains {match[0][:60]}, which looks like a special token"
        return None

    def _special_in(self, text: str) -> str | None:
        """A special token that the text contains; None if there is none.

        Some models have thousands of special tokens. To be fast, the search compares whole tokens only at places
        where the text has the first two characters of a token.
        """
        for start, lengths in self._lengths.items():
            at = text.find(start)
            while at >= 0:
                token = next((text[at : at + n] for n in lengths if text[at : at + n] in self._of), None)
                if token is not None:
                    return token
                at = text.find(start, at + 1)
        return None


def begins_with_tool_call(answer: str) -> bool:
    """True if the answer is the text of a tool call that the server did not recognise."""
    return _TOOL_CALL.match(answer) is not None


def _matches(texts: Iterable[str]) -> Iterable[re.Match[str]]:
    return (match for text in texts for match in _KNOWN.finditer(text))
