"""The refusals of many servers, and what each of them refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.endpoints.refusals import refused_parameters

SENT: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Which parameter is not supported, top_p or seed?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.7,
    "top_p": 0.95,
    "max_tokens": 8192,
    "seed": 3,
    "top_k": 20,
    "min_p": 0.0,
    "chat_template_kwargs": {"enable_thinking": True},
    "presence_penalty": 0.5,
}


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def pydantic(*names: str) -> list[dict[str, Any]]:
    text = "Extra inputs are not permitted"
    return [{"type": "extra_forbidden", "loc": ["body", name], "msg": text, "input": SENT[name]} for name in names]


REFUSED: list[Any] = [
    (
        "openai-limit",
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "max_tokens",
            "unsupported_parameter",
        ),
        "max_tokens",
    ),
    (
        "openai-value",
        openai(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is "
            "supported.",
            "temperature",
            "unsupported_value",
        ),
        "temperature",
    ),
    ("openai-argument", openai("Unrecognized request argument supplied: top_k"), "top_k"),
    ("openai-arguments", openai("Unrecognized request arguments supplied: min_p, top_k"), "min_p top_k"),
    ("openai-unknown", openai("Unknown parameter: 'min_p'.", "min_p", "unknown_parameter"), "min_p"),
    (
        "openai-stream",
        openai("Unsupported value: 'stream' does not support true with this model.", "stream"),
        "stream",
    ),
    ("fastapi", {"detail": pydantic("top_k", "chat_template_kwargs")}, "top_k chat_template_kwargs"),
    (
        "vllm-repr",
        {
            "object": "error",
            "message": str(pydantic("top_k", "min_p")).replace("['body', ", "('body', "),
            "code": 400,
        },
        "top_k min_p",
    ),
    (
        "vllm-speculative",
        openai("The min_p, logit_bias, and min_tokens parameters are not yet supported with speculative decoding."),
        "min_p",
    ),
    ("transformers", {"detail": "Unexpected fields in the request: {'top_k', 'min_p'}"}, "top_k min_p"),
    ("mistral", {"object": "error", "message": {"detail": pydantic("min_p", "seed")}, "code": None}, "min_p seed"),
    (
        "mistral-greedy",
        {"object": "error", "message": "Top_p must be 1 when using greedy sampling.", "code": "3051"},
        "top_p",
    ),
    ("groq", openai("property 'top_k' is unsupported"), "top_k"),
    ("groq-hint", openai("property 'min_p' is unsupported, did you mean 'top_p'?"), "min_p"),
    (
        "cerebras",
        {"message": "body.top_k: property 'body.top_k' is unsupported", "param": "top_k", "code": "wrong_api_format"},
        "top_k",
    ),
    ("anthropic", {"type": "error", "error": {"message": "top_k: Extra inputs are not permitted"}}, "top_k"),
    (
        "anthropic-both",
        {"error": {"message": "`temperature` and `top_p` cannot both be specified. Please use only one."}},
        "top_p",
    ),
    (
        "gemini",
        [
            {
                "error": {
                    "code": 400,
                    "message": 'Invalid JSON payload received. Unknown name "top_k": Cannot find field.\n'
                    'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        "top_k seed",
    ),
    (
        "serde",
        "Failed to deserialize the JSON body into the target type: unknown field `min_p`, expected one of `model`, "
        "`messages`, `temperature`, `top_p`, `seed` at line 1 column 233",
        "min_p",
    ),
    (
        "xai",
        {"code": "invalid", "error": "Model grok-4 does not support parameter presencePenalty."},
        "presence_penalty",
    ),
    (
        "fireworks",
        openai(
            "Extra inputs are not permitted, field: 'chat_template_kwargs', value: {'enable_thinking': True}",
        ),
        "chat_template_kwargs",
    ),
    (
        "litellm",
        openai(
            "litellm.UnsupportedParamsError: openai does not support parameters: ['top_k', 'min_p'], for model=x. "
            "To drop these, set `litellm.drop_params=True`."
        ),
        "top_k min_p",
    ),
    (
        "litellm-inside",
        openai(f"litellm.BadRequestError: OpenAIException - {json.dumps(openai('Unknown parameter: seed', 'seed'))}"),
        "seed",
    ),
    (
        "azure-extra",
        openai(
            "Extra parameters ['top_k', 'min_p'] are not allowed when extra-parameters is not set or set to 'error'"
            ". Set extra-parameters to 'pass-through' to pass to the model."
        ),
        "top_k min_p",
    ),
    ("azure-stream-options", openai("Unrecognized request argument supplied: stream_options"), "stream_options"),
    (
        "bedrock",
        {"message": "Malformed input request: #: extraneous key [top_k] is not permitted, please reformat it"},
        "top_k",
    ),
    (
        "nim",
        {"title": "Bad Request", "status": 400, "detail": str(pydantic("min_p"))},
        "min_p",
    ),
    (
        "json-schema",
        {"error": "Additional properties are not allowed ('top_k', 'min_p' were unexpected)"},
        "top_k min_p",
    ),
    (
        "ajv",
        {"errors": [{"keyword": "additionalProperties", "params": {"additionalProperty": "seed"}, "message": "…"}]},
        "seed",
    ),
    (
        "jackson",
        {"message": 'Unrecognized field "min_p" (class R), not marked as ignorable (3 known properties: "seed")'},
        "min_p",
    ),
    ("go", {"error": 'json: unknown field "top_k"'}, "top_k"),
    ("python", {"detail": "generate() got an unexpected keyword argument 'min_p'"}, "min_p"),
    (
        "pydantic-text",
        {
            "message": "2 validation errors for ChatCompletionRequest\ntop_k\n  Extra inputs are not permitted "
            "[type=extra_forbidden, input_value=20, input_type=int]\n    For further information visit "
            "https://errors.pydantic.dev/2.9/v/extra_forbidden\ntemperature\n  Input should be less than or equal to "
            "1 [type=less_than_equal, input_value=1.5]"
        },
        "top_k",
    ),
    ("thinking", openai("Parameter enable_thinking is not supported by this model"), "chat_template_kwargs"),
    ("only-value", {"error": {"message": "invalid temperature: only 1 is allowed for this model"}}, "temperature"),
    ("camel", {"error": {"message": "Unknown field: topK"}}, "top_k"),
    (
        "limit-alone",
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}
            ]
        },
        "max_tokens",
    ),
    # No pattern matches these refusals. The name alone shows what is refused.
    ("hungarian", openai("A(z) 'top_k' paraméter ismeretlen."), "top_k"),
    ("chinese", {"error": {"message": "参数 min_p 非法", "code": "1210"}}, "min_p"),
    ("name-first", "seed: field rejected", "seed"),
    ("violations", {"violations": [{"path": "$.min_p", "rule": "closed"}]}, "min_p"),
    ("pointer", {"errors": [{"pointer": "/body/top_k", "detail": "nope"}]}, "top_k"),
    ("wink", {"error": "We saw chat_template_kwargs and winked"}, "chat_template_kwargs"),
    ("limit-advice", {"error": "max_tokens is deprecated, please use max_completion_tokens"}, "max_tokens"),
]


@pytest.mark.parametrize(("body", "names"), [pytest.param(body, names, id=name) for name, body, names in REFUSED])
def test_what_a_refusal_refuses(body: Any, names: str) -> None:
    sent = SENT | ({"temperature": 0} if "greedy" in str(body) else {})
    assert refused_parameters(body, sent) == set(names.split())


KEPT: list[Any] = [
    (
        "vllm-window",
        openai("max_tokens=8192 cannot be greater than max_model_len=2048. (parameter=max_tokens, value=8192)"),
    ),
    (
        "vllm-both-names",
        openai(
            "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 2048 "
            "tokens and your request has 400 input tokens",
            "max_tokens",
        ),
    ),
    (
        "openai-too-large",
        openai("max_tokens is too large: 8192. This model supports at most 4096 completion tokens."),
    ),
    (
        "anthropic-most",
        {"error": {"message": "max_tokens: 8192 > 4096, which is the maximum allowed number of tokens"}},
    ),
    (
        "temperature-range",
        openai("Invalid 'temperature': must be between 0 and 0.5.", "temperature", "invalid_value"),
    ),
    ("top_k-range", {"error": {"message": "top_k: Input should be less than or equal to 10"}}),
    (
        "role",
        {"detail": [{"type": "literal_error", "loc": ["body", "messages", 0, "role"], "msg": "Input should be"}]},
    ),
    ("not-ours", openai("Unrecognized request argument supplied: frobnicate")),
    ("model", openai("The model `m` does not exist or does not support chat")),
    ("prose", openai("This model does not support a stream of images")),
    ("filter", openai("The response was filtered", None, "content_filter")),
    ("named-value", openai("top_k of 20 is greater than 10, the largest one")),
    ("named-temperature", openai("temperature: this model works at 1 and nowhere else")),
    (
        "echo",
        {
            "detail": [
                {
                    "type": "missing",
                    "loc": ["body", "frob"],
                    "msg": "Field required",
                    "input": {**SENT, "x": "unsupported"},
                }
            ]
        },
    ),
    ("echo-in-words", openai(f"Invalid request, unknown reason: {SENT}")),
    ("empty", {}),
    ("null", None),
    ("number", 17),
]


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in KEPT])
def test_what_refuses_no_parameter(body: Any) -> None:
    assert refused_parameters(body, SENT) == frozenset()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("top_k", -1, "top_k: Input should be greater than or equal to 1"),
        ("top_p", 1.0, "Input validation error: `top_p` must be > 0.0 and < 1.0"),
        ("presence_penalty", 0.0, "presence_penalty must be between 0.1 and 2"),
        ("min_p", 0.0, "min_p is out of range"),
    ],
)
def test_a_value_that_means_nothing_can_be_left_out(name: str, value: float, message: str) -> None:
    assert refused_parameters({"error": message}, {**SENT, name: value}) == {name}
    assert refused_parameters({"error": message}, {**SENT, name: 0.3}) == frozenset()


def test_the_new_name_of_the_limit_can_be_refused_too() -> None:
    sent = {**SENT, "max_completion_tokens": 8192}
    del sent["max_tokens"]
    body = {"detail": "Unknown parameter max_completion_tokens, use max_tokens instead"}
    assert refused_parameters(body, sent) == {"max_completion_tokens"}


WORDS = st.sampled_from(
    [
        "top_k",
        "is",
        "unsupported",
        "param",
        "loc",
        "{",
        "}",
        "[",
        "'",
        '"',
        "body.",
        "unknown",
        "\n",
        ". ",
        "<",
        "\\N",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.lists(WORDS).map("".join),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | WORDS | st.sampled_from(["msg", "error"]), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_json_can_be_read(body: Any) -> None:
    assert refused_parameters(body, SENT) <= SENT.keys() - {"model", "messages"}


@pytest.mark.parametrize(
    "body",
    [
        "[" * 50_000,
        "{'a': " * 5_000,
        "not " * 20_000,
        "top_k " * 20_000 + "unsupported",
        "[" + "-" * 7000 + "1]",
        [{"error": {"message": "x"}}] * 100_000,
    ],
    ids=["brackets", "braces", "words", "names", "minus", "many"],
)
@pytest.mark.timeout(20)
def test_a_hostile_refusal_costs_no_time(body: Any) -> None:
    refused_parameters(body, SENT)


def test_deep_json_is_read() -> None:
    body: Any = "unknown parameter top_k"
    for _ in range(5_000):
        body = {"error": body}
    assert refused_parameters(body, SENT) == frozenset()
