"""Read a chat that was written into one text, for example with the chat template of a model.

Data sets for fine-tuning often have a rendered chat in the field `text`. Without this module, the whole chat with its
control tokens and its answer would be the question.
"""

from __future__ import annotations

import re
from typing import Any

LONGEST_TEXT = 1 << 20  # in longer texts, faq-tui does not look for a chat
_ROLE = r"(system|developer|user|human|assistant|model|gpt|tool|function|observation)"
# Each pattern matches the beginning of a turn. The pattern's group captures the role of the turn.
_MARKED = (
    re.compile(rf"<\|im_start\|>[ \t]?{_ROLE}[ \t]*\n", re.IGNORECASE),
    re.compile(rf"<\|start_header_id\|>{_ROLE}<\|end_header_id\|>", re.IGNORECASE),
    re.compile(rf"<start_of_turn>{_ROLE}[ \t]*\n", re.IGNORECASE),
    re.compile(rf"<\|{_ROLE}\|>", re.IGNORECASE),
)
_TOKEN = re.compile(
    r"<\|(?:im_end|eot_id|end_of_text|endoftext|end|begin_of_text)\|>|<end_of_turn>|<(?:bos|eos)>|</s>(?=\s?\Z)"
)
# These patterns match the beginning of a turn in a text without control tokens.
_HEADED = (
    re.compile(r"###[ \t]?(Human|User|Assistant|System):", re.IGNORECASE),
    re.compile(r"###[ \t]?(Instruction|Response):[ \t]*\n", re.IGNORECASE),
    re.compile(r"(?:\A|\s)(USER|ASSISTANT):\s"),
)
_HEADS = {"instruction": "user", "response": "assistant"}


def turns_in_text(text: str) -> list[dict[str, Any]] | None:
    """The turns of the chat in the text; None if the text is certainly no chat.

    A text is a chat if it has a question and an answer, or a question between control tokens.
    """
    if len(text) > LONGEST_TEXT:
        return None
    for pattern in _MARKED:
        turns = _between(pattern, text)
        if _has("user", turns) or _has("human", turns):
            return turns
    turns = _of_instructions(text)
    if turns:
        return turns
    for pattern in _HEADED:
        start = pattern.search(text)
        turns = _between(pattern, text)
        if start and (_has("user", turns) or _has("human", turns)) and _has("assistant", turns):
            before = text[: start.start()].strip()
            return [*([{"role": "system", "content": before}] if before else []), *turns]
    return None


def _between(start: re.Pattern[str], text: str) -> list[dict[str, Any]]:
    """The turns that begin where `start` matches. Each turn ends where the next one begins."""
    parts = start.split(text)[1:]
    return [
        {"role": _HEADS.get(role.lower(), role.lower()), "content": _TOKEN.sub("", said).strip()}
        for role, said in zip(parts[::2], parts[1::2], strict=True)
    ]


def _of_instructions(text: str) -> list[dict[str, Any]]:
    """The turns of a text in the form of Llama 2 and Mistral, with the question between [INST] and [/INST]."""
    turns: list[dict[str, Any]] = []
    for part in text.split("[INST]")[1:]:
        question, end, answer = part.partition("[/INST]")
        if not end:
            return []
        system, end, rest = question.partition("<</SYS>>")
        if end and system.strip().startswith("<<SYS>>"):
            turns.append({"role": "system", "content": system.strip().removeprefix("<<SYS>>").strip()})
            question = rest
        turns.append({"role": "user", "content": question.strip()})
        answer = answer.replace("</s>", "").replace("<s>", "").strip()
        if answer:
            turns.append({"role": "assistant", "content": answer})
    return turns


def _has(role: str, turns: list[dict[str, Any]]) -> bool:
    return any(turn["role"] == role and turn["content"] for turn in turns)
