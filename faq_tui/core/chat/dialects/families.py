"""The reasoning dialects that ship with faq-tui, one object each. `extensions/points.py` lists them by name."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from faq_tui.core.chat.dialects.base import ReasoningDialect

FIELDS = ReasoningDialect(
    name="fields",
    title="response fields",
    help="The server separates the reasoning and sends it in a field of its reply (vLLM, SGLang).",
    response_fields=("reasoning", "reasoning_content"),  # the names that vLLM and SGLang use
)


@dataclass(frozen=True)
class _Channels(ReasoningDialect):
    def message(self, reasoning: str, answer: str) -> dict[str, Any]:
        return {"content": answer, "thinking": reasoning}


GPT_OSS = _Channels(
    name="gpt-oss",
    title="gpt-oss channels",
    help="Reasoning in the channel `analysis`, the answer in the channel `final` (harmony format).",
    open="<|channel|>analysis<|message|>",
    close="<|end|><|start|>assistant<|channel|>final<|message|>",
    special_tokens=("<|channel|>", "<|message|>", "<|start|>", "<|end|>"),
    plain=(0, 1),  # an answer without reasoning is still in the channel `final`
)


@dataclass(frozen=True)
class _Blocks(ReasoningDialect):
    def message(self, reasoning: str, answer: str) -> dict[str, Any]:
        return {"content": [{"type": "thinking", "thinking": reasoning}, {"type": "text", "text": answer}]}


MISTRAL = _Blocks(
    name="mistral",
    title="Mistral blocks",
    help="Reasoning between [THINK] and [/THINK], a block of the message's content (Magistral, Ministral).",
    open="[THINK]",
    close="[/THINK]",
)


@dataclass(frozen=True)
class _ThinkTags(ReasoningDialect):
    def knows(self, template: str, vocabulary: Container[str]) -> bool:
        # Some templates build the tags from pieces, such as '</' + 'think>'.
        return "think>" in template or self.open in vocabulary


THINK = _ThinkTags(
    name="think",
    title="think tags",
    help="Reasoning between <think> and </think> (Qwen3, DeepSeek-R1 and most others).",
    open="<think>",
    close="</think>",
    opening="<think>\n",
    closing="\n</think>\n\n",
    opened_by_prompt=True,
    quotable=True,
)
COHERE = ReasoningDialect(
    name="cohere",
    title="Cohere tags",
    help="Reasoning between <|START_THINKING|> and <|END_THINKING|> (Command A Reasoning, Command R7B).",
    open="<|START_THINKING|>",
    close="<|END_THINKING|>",
    in_templates=False,
)
SEED = ReasoningDialect(
    name="seed",
    title="Seed tags",
    help="Reasoning between <seed:think> and </seed:think> (Seed-OSS).",
    open="<seed:think>",
    close="</seed:think>",
    closing="</seed:think>\n",
)
MINIMAX = ReasoningDialect(
    name="minimax",
    title="MiniMax tags",
    help="Reasoning between <mm:think> and </mm:think> (MiniMax-M3).",
    open="<mm:think>",
    close="</mm:think>",
    in_templates=False,
)
GEMMA = ReasoningDialect(
    name="gemma",
    title="Gemma channels",
    help="Reasoning between <|channel>thought and <channel|> (Gemma 4).",
    open="<|channel>thought",
    close="<channel|>",
    opening="<|channel>thought\n",
    closing="\n<channel|>",
    special_tokens=("<|channel>", "<channel|>", "<|think|>"),
)
KIMI = ReasoningDialect(
    name="kimi",
    title="Kimi tags",
    help="Reasoning between ◁think▷ and ◁/think▷ (Kimi-VL, Kimi-Dev).",
    open="◁think▷",
    close="◁/think▷",
    in_templates=False,
)
THINKING = ReasoningDialect(
    name="thinking",
    title="thinking tags",
    help="Reasoning between <thinking> and </thinking>, as some fine-tuned models write it.",
    open="<thinking>",
    close="</thinking>",
    in_templates=False,
)
