"""A server that cannot score a prompt is found by one request, before lm_eval reports chance."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.benchmarking.lm_eval_task import _sentence
from faq_tui.core.benchmarking.prompt_scores import NoPromptScoresError, checked_before_scoring, missing_scores

PROMPT = [-3.0, -0.5, -1.25, -2.0]


def response(scores: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": " x", "logprobs": {"token_logprobs": scores}}]}


@pytest.mark.parametrize(
    "scores", [[None, *PROMPT, -0.1], [None, *PROMPT], [-9.0, *PROMPT, -0.1], [None, *[-2.0] * 4, -0.1]]
)
def test_a_server_that_scores_the_prompt(scores: list[Any]) -> None:
    assert missing_scores(response(scores), 5) == "" and missing_scores(response(scores), 0) == ""


@pytest.mark.parametrize(
    "body",
    [
        response([-0.1]),  # the generated token alone
        response([None, -3.0, -0.1]),
        response([None] * 5),
        response([0.0] * 6),
        response([None, -3.0, None, -1.0, -2.0, -0.1]),
        response([None, -3.0, float("-inf"), -1.0, -2.0, -0.1]),
        response([]),
        response(None),
        response("many"),
        {"choices": [{"text": " x", "logprobs": None}]},
        {"choices": [{"text": " x"}]},
        *({"choices": []}, {}, None, [], 5),
    ],
)
def test_a_server_that_does_not(body: Any) -> None:
    assert missing_scores(body, 5)


class Model:
    """What lm_eval's model for a server has of it."""

    tokenized_requests = True

    def __init__(self, body: Any) -> None:
        self.body, self.calls = body, 0

    def tok_encode(self, text: str) -> list[int]:
        return list(range(5))

    def model_call(self, messages: list[Any], *, generate: bool) -> Any:
        assert messages == [[0, 1, 2, 3, 4]] and generate is False
        self.calls += 1
        if isinstance(self.body, Exception):
            raise self.body
        return self.body

    def loglikelihood(self, requests: list[int]) -> list[int]:
        return requests

    def loglikelihood_rolling(self, requests: list[int]) -> list[int]:
        return requests

    def generate_until(self, requests: list[int]) -> list[int]:
        return requests


def test_one_request_decides_for_all_tasks() -> None:
    good: Any = Model(response([None, *PROMPT, -0.1]))
    checked_before_scoring(good)
    assert good.loglikelihood([1]) == [1] and good.loglikelihood_rolling([2]) == [2] and good.calls == 1
    bad: Any = Model(response([-0.1]))
    checked_before_scoring(bad)
    assert bad.generate_until([1]) == [1] and bad.calls == 0, "generated answers need no scores"
    for _ in range(2):
        with pytest.raises(NoPromptScoresError, match="1 log-probabilities for a prompt of 5 tokens"):
            bad.loglikelihood([1])
    assert bad.calls == 1


def test_a_failed_request_is_left_to_lm_eval() -> None:
    broken: Any = Model(ConnectionError("refused"))
    checked_before_scoring(broken)
    assert broken.loglikelihood([1]) == [1]


def test_what_is_said() -> None:
    said = _sentence("arc_easy", NoPromptScoresError("it returns no token_logprobs"))
    assert said.startswith("arc_easy needs log-probabilities of the prompt's tokens") and "vLLM" in said
