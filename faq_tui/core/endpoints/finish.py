"""Read a reply's finish_reason.

The finish_reason shows what ended the answer: the model itself, a limit, or something else.

Servers spell the reasons in many ways. The tables hold the words of OpenAI, vLLM, SGLang, TGI, TensorRT-LLM,
llama.cpp, Ollama, Anthropic, Gemini, Mistral, Cohere, DeepSeek, GLM, Qwen, watsonx and Bedrock. All words are in
lower case and have no punctuation, so `MAX_TOKENS`, `maxTokens` and `max tokens` are the same word.
"""

from __future__ import annotations

import re
from typing import Any

NORMAL = "normal"  # the model ended the answer
TRUNCATED = "truncated"  # the reply reached max_tokens or the end of the model's window
FILTERED = "filtered"  # a filter of the server ended the reply
TOOL_CALL = "tool_call"  # the model calls a tool instead of answering
INTERRUPTED = "interrupted"  # the server had to stop before the answer was complete
FAILED = "failed"  # the server had to stop, and another try usually helps
UNKNOWN = "unknown_end"  # the finish_reason is in no table
MISSING = "missing"  # the reply has no finish_reason

_WORDS = {
    NORMAL: "stop stopped stop_sequence stop_sequences stop_str stop_string stop_token stop_word stop_words "
    "stop_criteria eos eos_token eos_token_id eos_found end end_id end_of_text end_of_turn end_of_sequence "
    "end_of_stream endoftext end_turn eot complete completed completion_done done finish finished normal ok success",
    TRUNCATED: "length limit max max_tokens max_token max_new_tokens max_output_tokens max_completion_tokens "
    "max_length max_len max_seq_len max_tokens_reached token_limit tokens_limit token_limit_reached model_length "
    "model_context_window_exceeded context_window_exceeded context_length_exceeded context context_length "
    "context_limit context_full exceed_context_size output_limit truncated truncation incomplete",
    FILTERED: "content_filter content_filtered content_filtering contentfilter content_policy "
    "content_policy_violation responsible_ai_policy_violation filter filtered safety unsafe image_safety "
    "recitation image_recitation sensitive blocklist blocked block prohibited_content image_prohibited_content spii "
    "language refusal guardrail guardrail_intervened guardrails moderation moderated flagged error_toxic toxic "
    "policy_violation data_inspection_failed risk_control malicious hap pii",
    TOOL_CALL: "tool_calls tool_call tool_use tool tools function_call function_calls function "
    "unexpected_tool_call malformed_function_call malformed_tool_call too_many_tool_calls pause_turn",
    INTERRUPTED: "insufficient_system_resource insufficient_system_resources insufficient_resources out_of_memory "
    "oom resource_exhausted overloaded error_limit time_limit timeout timed_out deadline_exceeded repetition "
    "repetition_truncation repetition_detected loop_detected other",
    FAILED: "abort aborted error errored error_finish failed failure internal_error server_error model_error "
    "engine_error network_error cancel cancelled canceled user_cancel interrupted disconnect preempted unavailable",
    MISSING: "null none undefined nan unspecified finish_reason_unspecified not_finished unfinished in_progress",
}


def _spelled(word: str) -> str:
    return re.sub(r"[\W_]+", "", word).lower()


_ENDINGS = {_spelled(word): ending for ending, words in _WORDS.items() for word in words.split()}
_FIELDS = ("finish_reason", "finishReason", "native_finish_reason", "done_reason", "finish_details")


def finish_reason_of(choice: dict[str, Any]) -> str:
    """The finish_reason of a choice, as the server spells it; "" if there is none yet.

    If a server sends an object, the key `type` of the object holds the finish_reason.
    """
    for name in _FIELDS:
        value = choice.get(name)
        if value is None:
            continue
        if isinstance(value, dict):
            value = value.get("type")
        if isinstance(value, str) and ending_of(value) != MISSING:
            return value
    return ""


def ending_of(finish_reason: str) -> str:
    """What ended the reply. The result is one of the constants above, such as NORMAL."""
    word = _spelled(re.sub(r"^finish_?reason[._:/ ]+", "", finish_reason.strip(), flags=re.IGNORECASE))
    return _ENDINGS.get(word, UNKNOWN) if word else MISSING
