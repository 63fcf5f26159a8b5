"""What the exception of a request means, and how long the next try waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import NotAnApiError, StatusError
from faq_tui.core.endpoints.faults import backoff, explain
from faq_tui.core.settings import Endpoint


@given(st.integers(1, 10_000), st.floats(0, 60))
def test_waits_grow_but_stay_bounded(attempt: int, first: float) -> None:
    assert 0 <= backoff(attempt, first) <= min(60.0, first * 2.0 ** min(attempt - 1, 30))


ENDPOINT = Endpoint(base_url="http://s/v1", model="m")


@pytest.mark.parametrize(
    "message",
    [
        "Invalid model name passed in model=m. Call `/v1/models` to view available models for your key.",
        "Model Not Exist",
        "The model `m` does not exist or you do not have access to it.",
        "Unknown model: m",
        "litellm.BadRequestError: model_not_found",
    ],
)
def test_a_model_that_does_not_exist_is_about_all_requests(message: str) -> None:
    fault = explain(StatusError(400, message), ENDPOINT)
    assert fault is not None and fault.unreachable and not fault.retry and not fault.of_request
    assert fault.advice.startswith("http://s/v1 does not serve model 'm' (HTTP 400 ")


@pytest.mark.parametrize(
    "message",
    [
        "Budget has been exceeded! Current cost: 3.1, Max budget: 3.0",
        "Your credit balance is too low to access the API",
        "Insufficient account balance",
        "You exceeded your monthly quota",
        "budget spent",
    ],
)
def test_missing_money_is_about_all_requests(message: str) -> None:
    fault = explain(StatusError(400, message), ENDPOINT)
    assert fault is not None and not (fault.unreachable or fault.retry or fault.of_request)
    assert fault.advice == f"http://s/v1 refused the request: HTTP 400 {message}"


@pytest.mark.parametrize(
    "message",
    [
        "the thinking budget was exceeded",
        "token budget exceeded",
        "This model does not support images",
        "invalid model input",
        "content about credit cards is blocked",
        "max_tokens is too large for this model",
        "model overloaded, not found in cache",
        "",
    ],
)
def test_a_refusal_of_one_request(message: str) -> None:
    fault = explain(StatusError(400, message), ENDPOINT)
    assert fault is not None and fault.of_request and not fault.unreachable


@pytest.mark.parametrize(
    "error",
    [
        *(StatusError(status, "no s3cr@t-password here") for status in (400, 401, 404, 429, 500)),
        StatusError(307, "", location="http://elsewhere"),
        *(ConnectionRefusedError(), TimeoutError(), UnicodeError("x"), NotAnApiError(), BrokenStreamError("x")),
    ],
    ids=repr,
)
def test_no_message_shows_the_password_in_base_url(error: Exception) -> None:
    endpoint = Endpoint(base_url="http://me:s3cr%40t-password@host:8000/v1?a=b", model="m")
    fault = explain(error, endpoint)
    assert fault is not None
    assert "password" not in fault.advice + fault.reason, "neither as it is written nor decoded"
    assert "me:s" not in fault.advice and endpoint.shown_url == "http://host:8000/v1"
