"""A server that refuses some parameters of a request, in the words of a real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.fakes.behaviour import Asked, Behaviour, Fault


def _openai(name: str, _value: Any) -> Any:
    return {"error": {"message": f"Unknown parameter: '{name}'.", "param": name, "code": "unknown_parameter"}}


def _pydantic(name: str, value: Any) -> Any:
    return {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": value}


# Each returns the body that refuses one parameter, or all at once.
REFUSALS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "openai": lambda wrong: _openai(*next(iter(wrong.items()))),
    "fastapi": lambda wrong: {"detail": [_pydantic(name, value) for name, value in wrong.items()]},
    "vllm": lambda wrong: {"object": "error", "message": repr([_pydantic(*item) for item in wrong.items()])},
    "transformers": lambda wrong: {"detail": f"Unexpected fields in the request: {set(wrong)}"},
    "groq": lambda wrong: {"error": {"message": f"property '{next(iter(wrong))}' is unsupported"}},
    "anthropic": lambda wrong: {"error": {"message": f"{next(iter(wrong))}: Extra inputs are not permitted"}},
    "gemini": lambda wrong: [
        {"error": {"message": "\n".join(f'Unknown name "{name}": Cannot find field.' for name in wrong)}}
    ],
    "litellm": lambda wrong: {"error": {"message": f"UnsupportedParams: x does not support parameters: {wrong}"}},
}


@dataclass
class Strict(Behaviour):
    """Refuses each request that has one of the parameters `refused`."""

    refused: tuple[str, ...] = ()
    dialect_of_refusals: str = "openai"
    status: int = 400
    refusal: str = ""  # of every refusal, instead of a dialect's; {0} is the first refused parameter

    streamed: str = ""  # "whole" or "chunk": the refusal comes under HTTP 200

    def __post_init__(self) -> None:
        self.fault = self._refuse

    def _refuse(self, asked: Asked) -> Fault | None:
        wrong = {name: asked.body[name] for name in self.refused if name in asked.body}
        if not wrong:
            return None
        if self.refusal:
            body: Any = {"error": {"message": self.refusal.format(next(iter(wrong)))}}
        else:
            body = REFUSALS[self.dialect_of_refusals](wrong)
        if self.streamed == "chunk":
            return Fault("error", message=f"Unknown parameter: {next(iter(wrong))}", after=0)
        return Fault("status", 200 if self.streamed else self.status, body=json.dumps(body))
