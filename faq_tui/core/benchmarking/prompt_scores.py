"""Check whether a server scores the tokens of a prompt. Most tasks of lm_eval need these scores.

To get the scores, lm_eval sends the parameters `echo` and `logprobs`. Some servers accept these parameters, but
return log-probabilities only for generated tokens. lm_eval then gives every choice the score 0, so its result is no
better than guessing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

PROBE = "One and one are two, two and two are four, and three and three are six."
SCORING = ("loglikelihood", "loglikelihood_rolling")  # names of lm_eval's methods that need scores of the prompt


class NoPromptScoresError(Exception):
    """The server does not score the tokens of a prompt."""


def checked_before_scoring(lm: Any) -> None:
    """Change lm_eval's model `lm`, so that it sends one test request before it scores the first prompt.

    If the test fails, every attempt to score a prompt raises NoPromptScoresError.
    """
    state: dict[str, NoPromptScoresError | None] = {}

    def checked(call: Callable[..., Any]) -> Callable[..., Any]:
        def scored(*arguments: Any, **options: Any) -> Any:
            if "result" not in state:
                state["result"] = _refusal(lm)
            error = state["result"]
            if error is not None:
                raise error
            return call(*arguments, **options)

        return scored

    for name in SCORING:
        setattr(lm, name, checked(getattr(lm, name)))


def _refusal(lm: Any) -> NoPromptScoresError | None:
    """Send a test prompt. Return an error if the response has no scores of the prompt's tokens.

    Return None if the request itself fails: lm_eval's next request then fails and shows the reason.
    """
    ids = list(lm.tok_encode(PROBE))
    try:
        body = lm.model_call([ids] if lm.tokenized_requests else [PROBE], generate=False)
    except OSError:  # the errors of the package `requests` are also OSErrors
        return None
    why = missing_scores(body, len(ids) if lm.tokenized_requests else 0)
    return NoPromptScoresError(why) if why else None


def missing_scores(body: Any, tokens: int) -> str:
    """Say what is missing in the response to a prompt. The result is "" if all tokens after the first have a score.

    `tokens` is the number of tokens of the prompt. If the prompt was sent as text, only the server knows this number,
    and `tokens` is 0.
    """
    try:
        scores = body["choices"][0]["logprobs"]["token_logprobs"]
    except (TypeError, KeyError, IndexError):
        return "the reply has no token_logprobs"
    if not isinstance(scores, list) or len(scores) < max(tokens, 3):
        got = len(scores) if isinstance(scores, list) else 0
        return f"the reply has {got} log-probabilities for a prompt of {tokens or 'many'} tokens"
    prompt = scores[1 : tokens or len(scores) - 1]
    numbers = [one for one in prompt if isinstance(one, int | float) and math.isfinite(one)]
    if len(numbers) < len(prompt) or not any(numbers):
        return "the log-probabilities of the prompt's tokens are missing or 0"
    return ""
