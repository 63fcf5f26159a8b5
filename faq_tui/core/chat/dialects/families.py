"""The reasoning dialects that ship with faq-tui, one object each.

`extensions/points.py` lists the dialects by name.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from faq_tui.core.chat.dialects.base import ReasoningDialect
from faq_tui.core.chat.dialects.replies import Headings, OtherTags, Parts

FIELDS = ReasoningDialect(
    name="fields",
    title="response fields",
    help="The server separates the reasoning and sends it in a field of its reply (vLLM, SGLang).",
    # vLLM, SGLang, OpenRouter, Ollama, Gemini and gateways send the reasoning in fields with these names.
    response_fields=(
        *("reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_content", "thought"),
        *("thinking_blocks", "reasoning_text"),
    ),
)


# Matches the header of a message. The header may have special tokens, as in `<|channel|>analysis<|message|>`, or
# none, as in `assistantfinal`.
_HARMONY = re.compile(
    r"(?:(?:<\|start\|>)?assistant)?<\|channel\|>(?P<tagged>\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"|assistant(?P<bare>analysis|commentary|final)"
)
_BARE_START = re.compile(r"(?:assistant)?(analysis|commentary)(?=[A-Z\"'(\[*0-9])")
_HARMONY_ENDS = re.compile(r"<\|(?:end|return|call)\|>")


@dataclass(frozen=True)
class _Channels(ReasoningDialect):
    def split_reply(self, text: str) -> Parts | None:
        """Split a reply that has channels. All text before the channel `final` is reasoning.

        The special tokens may be missing, because some servers remove them.
        """
        text = text.strip()
        start = _BARE_START.match(text)
        bare = start is not None and "<|channel|>" not in text
        headers = [m for m in _HARMONY.finditer(text) if bool(m["bare"]) == bare]
        if start is None and not (headers and headers[0].start() == 0):
            return None
        if not bare and not headers:  # the text only looks like channels
            return None
        begins = start.end() if bare and start is not None else headers[0].end()
        final = [m for m in headers if (m["tagged"] or m["bare"]) == "final"]
        ends = [m.start() for m in headers if m.start() >= begins]
        if not final:
            return _HARMONY_ENDS.sub("", text[begins:]).strip(), "", False
        first = final[0]
        reasoning = [
            text[a:b]
            for a, b in zip([begins, *(m.end() for m in headers if m.start() >= begins)], ends, strict=False)
            if b <= first.start() and first.start() >= begins
        ]
        joined = "\n\n".join(part for each in reasoning if (part := _HARMONY_ENDS.sub("", each).strip()))
        answer = text[first.end() :]
        return joined, _HARMONY_ENDS.split(answer)[0].strip(), True

    def message(self, reasoning: str, answer: str) -> dict[str, Any]:
        return {"content": answer, "thinking": reasoning}


GPT_OSS = _Channels(
    name="gpt-oss",
    title="gpt-oss channels",
    help="The reasoning is in the channel `analysis`, and the answer is in the channel `final` (harmony format).",
    open="<|channel|>analysis<|message|>",
    close="<|end|><|start|>assistant<|channel|>final<|message|>",
    special_tokens=("<|channel|>", "<|message|>", "<|start|>", "<|end|>"),
    plain=(0, 1),  # an answer is in the channel `final` even if there is no reasoning
)


@dataclass(frozen=True)
class _Blocks(ReasoningDialect):
    def message(self, reasoning: str, answer: str) -> dict[str, Any]:
        return {"content": [{"type": "thinking", "thinking": reasoning}, {"type": "text", "text": answer}]}


MISTRAL = _Blocks(
    name="mistral",
    title="Mistral blocks",
    help="The reasoning is between [THINK] and [/THINK], in a block of the message (Magistral, Ministral).",
    open="[THINK]",
    close="[/THINK]",
)


@dataclass(frozen=True)
class _ThinkTags(ReasoningDialect):
    def knows(self, template: str, vocabulary: Container[str]) -> bool:
        # Some templates join a tag from two pieces, such as '</' + 'think>'.
        return "think>" in template or self.open in vocabulary


THINK = _ThinkTags(
    name="think",
    title="think tags",
    help="The reasoning is between <think> and </think> (Qwen3, DeepSeek-R1 and most others).",
    open="<think>",
    close="</think>",
    opening="<think>\n",
    closing="\n</think>\n\n",
    opened_by_prompt=True,
    quotable=True,
)


@dataclass(frozen=True)
class _FirstLine(ReasoningDialect):
    """A dialect in which the reasoning is a channel, and the first line of the channel is the channel's name.

    Servers may remove the special tokens around the name.
    """

    def split_reply(self, text: str) -> Parts | None:
        name = self.open.partition(">")[2]
        bare = text.lstrip().partition("\n")
        # the server removed the special tokens, so the end of the reasoning is unknown
        if bare[0].strip() == name and bare[1]:
            return bare[2].strip(), "", False
        return self.split(text)


COHERE = ReasoningDialect(
    name="cohere",
    title="Cohere tags",
    help="The reasoning is between <|START_THINKING|> and <|END_THINKING|> (Command A Reasoning, Command R7B).",
    open="<|START_THINKING|>",
    close="<|END_THINKING|>",
    in_templates=False,
)
SEED = ReasoningDialect(
    name="seed",
    title="Seed tags",
    help="The reasoning is between <seed:think> and </seed:think> (Seed-OSS).",
    open="<seed:think>",
    close="</seed:think>",
    closing="</seed:think>\n",
)
MINIMAX = ReasoningDialect(
    name="minimax",
    title="MiniMax tags",
    help="The reasoning is between <mm:think> and </mm:think> (MiniMax-M3).",
    open="<mm:think>",
    close="</mm:think>",
    in_templates=False,
)
GEMMA = _FirstLine(
    name="gemma",
    title="Gemma channels",
    help="The reasoning is between <|channel>thought and <channel|> (Gemma 4).",
    open="<|channel>thought",
    close="<channel|>",
    opening="<|channel>thought\n",
    closing="\n<channel|>",
    special_tokens=("<|channel>", "<channel|>", "<|think|>"),
)
KIMI = ReasoningDialect(
    name="kimi",
    title="Kimi tags",
    help="The reasoning is between ◁think▷ and ◁/think▷ (Kimi-VL, Kimi-Dev).",
    open="◁think▷",
    close="◁/think▷",
    in_templates=False,
)
THINKING = ReasoningDialect(
    name="thinking",
    title="thinking tags",
    help="The reasoning is between <thinking> and </thinking>, as some fine-tuned models write it.",
    open="<thinking>",
    close="</thinking>",
    in_templates=False,
)
GRANITE = Headings(
    name="granite",
    title="Granite headings",
    help="The reasoning follows `Here is my thought process:`; the answer follows `Here is my response:` (Granite).",
    heading="Here is my thought process:",
    answer_heading="Here is my response:",
)
OTHER_TAGS = OtherTags(
    name="other-tags",
    title="other tags",
    help="The reasoning is at the start of a reply in other tags, such as `<thought>` and `</thought>`.",
)
