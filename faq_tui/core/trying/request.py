"""One prompt, and how its answers are sampled. The command line imports this module at each start."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from faq_tui.core.base.errors import UsageError

LONGEST_PROMPT = 100_000  # maximum length of a prompt in characters
HOTTEST = 2.0  # highest sampling temperature
TOKENS = 256  # default of the maximum length of an answer in tokens


@dataclass(frozen=True)
class TryRequest:
    """A prompt and its sampling.

    If `temperature` is 0, the model always takes the likeliest token. `seed` is the seed of the random draws.
    """

    prompt: str
    max_tokens: int = TOKENS
    temperature: float = 0.0
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError if a value cannot be used."""
        if not self.prompt.strip():
            raise UsageError("the prompt is empty: write a question")
        if len(self.prompt) > LONGEST_PROMPT:
            raise UsageError(
                f"the prompt has {len(self.prompt):,} characters; at most {LONGEST_PROMPT:,} are allowed"
            )
        if self.max_tokens < 1:
            raise UsageError(f"the maximum length of an answer is {self.max_tokens} tokens: allow at least 1")
        if not 0 <= self.temperature <= HOTTEST:
            raise UsageError(f"the temperature {self.temperature:g} is not between 0 and {HOTTEST:g}")

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.prompt}]

    @property
    def sampling(self) -> dict[str, Any]:
        """The arguments of `next_tokens` in core/regenerating/local_task.py. Only the temperature
        is taken from the request; the others are constant."""
        return {"temperature": self.temperature, "top_k": -1, "top_p": 1.0, "min_p": 0.0}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
