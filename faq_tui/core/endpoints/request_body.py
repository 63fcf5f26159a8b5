"""Build the body of a chat request from the settings and the known capabilities. This module sends no request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faq_tui.core.endpoints.capabilities import MAX_COMPLETION_TOKENS, MAX_TOKENS, UNKNOWN, Capabilities
from faq_tui.core.settings import Endpoint, Sampling
from faq_tui.core.settings.source import OFF

# every request has these parameters, even if the settings omit them or the server refuses them
KEPT = frozenset({"model", "messages"})


def chat_body(
    model: str,
    messages: list[dict[str, str]],
    sampling: Sampling,
    seed: int | None,
    extra: dict[str, Any],
    *,
    endpoint: Endpoint | None = None,
    capabilities: Capabilities = UNKNOWN,
    limited: bool = True,
    stream: bool = False,
) -> dict[str, Any]:
    """The body of one chat request, as values that JSON can hold.

    `extra` is added to the body, and so are `chat_template_kwargs` and `extra_body` of `endpoint`. The body lacks the
    parameters in `endpoint.leave_out`, the parameters that the settings switch off, and the parameters that the
    server refuses according to `capabilities`. If `limited` is false, the body does not limit the number of tokens.
    If `stream` is true, the server streams the response.
    """
    body: dict[str, Any] = {"model": model, "messages": messages}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    # OpenAI's protocol does not have top_k, min_p and repetition_penalty. vLLM, SGLang and llama.cpp accept these
    # parameters at the top level of the body.
    body |= {name: value for name, value in sampling if name != "seed" and value != OFF}
    if seed is not None and sampling.seed != OFF:
        body["seed"] = seed
    body |= extra
    left_out = set(capabilities.left_out)
    if endpoint is not None:
        if endpoint.chat_template_kwargs:
            given = body.get("chat_template_kwargs")
            kwargs = given if isinstance(given, dict) else {}
            body["chat_template_kwargs"] = {**kwargs, **endpoint.chat_template_kwargs}
        body |= {name: value for name, value in endpoint.extra_body.items() if name not in KEPT}
        left_out |= set(endpoint.leave_out)
    if not limited:
        left_out.add(MAX_TOKENS)
    if "stream" in left_out:
        left_out.add("stream_options")
    for name in left_out - KEPT:
        body.pop(name, None)
    if MAX_TOKENS in body and capabilities.limit_name != MAX_TOKENS:
        body[capabilities.limit_name] = body.pop(MAX_TOKENS)
    return body


def has_limit(body: Mapping[str, Any]) -> bool:
    """True if the request limits the number of tokens of the reply."""
    return MAX_TOKENS in body or MAX_COMPLETION_TOKENS in body
