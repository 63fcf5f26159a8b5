"""What the fake server is told to do: how it answers, and what goes wrong."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

PIECE = 7  # characters of one chunk: think tags arrive in two parts
VOCABULARY = """
river stone bright quiet seven copper lantern orbit maple signal thirty velvet harbour question answer engine
winter paper north balance window theory garden silver island number music bridge forest candle morning circle
market danger kitchen planet summer doctor yellow castle
"""
WORDS = VOCABULARY.split()
Dialect = Literal["none", "reasoning", "reasoning_content", "inline", "unopened", "unclosed"]
Key = tuple[str, int]


@dataclass(frozen=True)
class Asked:
    """One request for an answer."""

    question: str  # the last message
    number: int  # the `seed` of the request
    attempt: int  # how often this very question and number were asked so far, this time included
    body: dict[str, Any]
    key: str  # of the Authorization header


@dataclass(frozen=True)
class Fault:
    """The fault of one request. `after` is the number of pieces of the stream that are sent before the fault.

    Faults instead of an answer: status, html, silence (nothing is sent), reset (before the first byte). Faults in the
    middle of an answer: cut, error (an error object with HTTP 200), garbage (a chunk that is not JSON), stall
    (nothing more is sent). Faults with a complete answer: twice (every event is repeated with its id), order (choices
    that were not requested, in any order), usage (impossible counts), split (each byte is sent separately).
    """

    kind: Literal[
        "status", "html", "silence", "reset", "cut", "error", "garbage", "stall", "twice", "order", "usage", "split"
    ]
    status: int = 500
    message: str = "made-up trouble"
    retry_after: str | None = None
    after: int = 2
    body: str = ""  # the whole body of a status, instead of one with `message`


@dataclass
class Behaviour:
    """How the server answers. Functions are called on the server's thread."""

    models: tuple[str, ...] = ("fake-8b",)
    api_key: str | None = None  # None: any
    dialect: Dialect | Callable[[Asked], Dialect] = "reasoning"
    pieces_per_s: float = 0.0  # of each stream; 0: all at once
    piece: int = PIECE  # characters of one chunk
    tokens_per_piece: int = 1  # in the usage
    spread: float = 0.0  # share by which answers are longer or shorter, and streams begin later: no lockstep
    thought_words: int = 9
    usage: bool = True
    done: Callable[[Asked], bool] = lambda asked: True  # False: the stream ends without [DONE]
    words: int = 12  # of an answer
    finish: Callable[[Asked], str] = lambda asked: "stop"
    fault: Callable[[Asked], Fault | None] = lambda asked: None
    models_fault: Fault | None = None
    reply: Callable[[Asked], str] | None = None  # the whole content, instead of a made-up answer
    deltas: Callable[[Asked], list[dict[str, Any]]] | None = None  # the chunks themselves, instead of all that
    streams: bool = True  # False: one JSON object, whatever was asked for
    knows_n: bool = True  # False: one choice, however many were asked for
    max_model_len: int | None = None  # told in /v1/models, and enforced as vLLM does
    tells_window: bool = True  # False: /v1/models is silent about it
    characters_per_token: int = 4  # of the prompt
    on_headers: Callable[[dict[str, str]], None] = lambda headers: None  # of each request for an answer


def answer_of(question: str, number: int, words: int = 12) -> str:
    """What the server answers, the same on every machine."""
    return _prose(f"answer {question} {number}", words)


def reasoning_of(question: str, number: int, words: int = 9) -> str:
    return _prose(f"reasoning {question} {number}", words)


def _prose(key: str, words: int) -> str:
    dice = random.Random(hashlib.sha256(key.encode()).digest())
    return " ".join(dice.choice(WORDS) for _ in range(words)) + f" {dice.randrange(10**6)}."


def prompt_tokens_of(asked: Asked, characters_per_token: int = 4) -> int:
    return sum(len(str(message["content"])) for message in asked.body["messages"]) // characters_per_token


def deltas_of(behaviour: Behaviour, asked: Asked) -> list[dict[str, Any]]:
    """What the chunks of one choice hold."""
    if behaviour.deltas is not None:
        return behaviour.deltas(asked)
    if behaviour.reply is not None:
        return [{"content": piece} for piece in pieces_of(behaviour.reply(asked), behaviour.piece)]
    scale = 1 + behaviour.spread * random.Random(f"{asked.question} {asked.number}").uniform(-1, 1)
    answer = answer_of(asked.question, asked.number, round(behaviour.words * scale))
    thought = reasoning_of(asked.question, asked.number, round(behaviour.thought_words * scale))
    dialect = behaviour.dialect(asked) if callable(behaviour.dialect) else behaviour.dialect
    if dialect in ("reasoning", "reasoning_content"):
        return [
            *({str(dialect): piece} for piece in pieces_of(thought, behaviour.piece)),
            *({"content": piece} for piece in pieces_of(answer, behaviour.piece)),
        ]
    text = {
        "none": answer,
        "inline": f"<think>\n{thought}\n</think>\n\n{answer}",
        "unopened": f"{thought}\n</think>\n\n{answer}",
        "unclosed": f"<think>\n{thought}",
    }[dialect]
    return [{"content": piece} for piece in pieces_of(text, behaviour.piece)]


def pieces_of(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]
