"""One streamed answer of one model: its tokens so far, its speed and its memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

AnswerState = Literal["waiting", "loading", "answering", "done", "stopped", "failed"]
ENDED = ("done", "stopped", "failed")


@dataclass
class TriedAnswer:
    """Collects the messages about one answer. One thread may call `take` while another thread reads the answer.

    `ids[i]` is the id of token i. `texts[i]` has the new characters that token i completes; "" if token i completes
    no character. A server sends no ids, so `ids` is empty for its answers, and each text is one delta.
    """

    name: str
    state: AnswerState = "waiting"
    # the opening tag of the reasoning if the prompt ends with this tag; the tag belongs to the answer
    opened: str = ""
    ids: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    # "stop": the model ended its answer; "length": max_tokens was reached; "stopped": the person stopped the answer
    finish_reason: str = ""
    prompt_tokens: int | None = None
    tokens: int | None = None  # number of generated tokens, as reported at the end of the answer
    seconds: float = 0.0  # time from the end of loading to the last token
    load_seconds: float | None = None
    memory_mb: float | None = None  # peak memory of the process, or of one GPU; None if a server has the model
    problem: str = ""  # one sentence; "" if the answer has not failed

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def count(self) -> int | None:
        """The number of generated tokens; None if the server has not reported this number yet."""
        return len(self.ids) if self.ids or (self.tokens is None and not self.texts) else self.tokens

    @property
    def rate(self) -> float | None:
        """Tokens per second. None if it is not known."""
        count = self.count
        return count / self.seconds if count and self.seconds > 0 else None

    @property
    def text(self) -> str:
        return self.opened + "".join(list(self.texts))

    def take(self, message: dict[str, Any]) -> None:
        """Apply one message of the task `try`, or of `through_server`."""
        match message["kind"]:
            case "loading":
                self.state = "loading"
            case "loaded":
                self.load_seconds, self.memory_mb = message["seconds"], message["memory_mb"]
            case "answering":
                self.state = "answering"
                self.opened, self.prompt_tokens = message["opened"], message["prompt_tokens"]
            case "tokens":
                # add the texts before the ids, so that another thread never sees an id without its text
                self.texts += message["texts"]
                self.ids += message["ids"]
                self.seconds = message["seconds"]
            case "answered":
                if message["rest"]:
                    self.texts[-1] += message["rest"]
                self.seconds, self.finish_reason = message["seconds"], message["finish_reason"]
                self.memory_mb, self.tokens = message["memory_mb"], message["tokens"]
                self.state = "stopped" if self.finish_reason == "stopped" else "done"
            case "stopped":
                self.state = "stopped"
            case "failed":
                self.state, self.problem = "failed", message["message"]

    def to_json(self) -> dict[str, Any]:
        """The finished answer as JSON."""
        return {
            "model": self.name,
            "state": self.state,
            "text": self.text,
            "ids": self.ids,
            "tokens": self.count,
            "finish_reason": self.finish_reason,
            "prompt_tokens": self.prompt_tokens,
            "seconds": self.seconds,
            "tokens_per_s": round(self.rate, 3) if self.rate is not None else None,
            "load_seconds": self.load_seconds,
            "memory_mb": self.memory_mb,
            "problem": self.problem,
        }
