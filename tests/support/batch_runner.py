"""A batch service: it answers files of requests, and writes its output as OpenAI, vLLM or SGLang do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.support.fake_server import answer_of, reasoning_of

Body = dict[str, Any]
Answer = Callable[[Body], Body]  # a request's body to a chat completion, or to {"error": {...}, "status": 400}
FORMS = ("openai", "vllm", "sglang", "bare")


def completion(
    content: str | None, reasoning: str = "", finish: str = "stop", usage: Any = (11, 21), model: str = "fake-8b"
) -> Body:
    """A chat completion; `usage` is (tokens of the prompt, tokens of the answer)."""
    counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)} if usage else None
    message = {"role": "assistant", "content": content} | ({"reasoning_content": reasoning} if reasoning else {})
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": counts}


def refusal(message: str, status: int = 400) -> Body:
    return {"error": {"message": message, "type": "BadRequestError", "code": status}, "status": status}


def made_up(body: Body) -> Body:
    """The fake server's answer to the question."""
    question, number = str(body["messages"][-1]["content"]), int(body["seed"])
    return completion(answer_of(question, number), reasoning_of(question, number))


def posted_to(url: str) -> Answer:
    """Answers by a real server below `url`, without streaming."""

    def answer(body: Body) -> Body:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/chat/completions", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                found: Body = json.load(response)
                return found
        except urllib.error.HTTPError as error:
            return refusal(error.read().decode(), error.code)

    return answer


def requests_of(files: Iterable[Path]) -> list[Body]:
    """The lines of batch files."""
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def result_line(custom_id: str, answer: Body, form: str = "openai") -> Body:
    """One line of an output file. `bare` is a runner that leaves out all that it can."""
    failed, status = answer.get("error"), answer.get("status", 200)
    if form == "openai":  # the body of a failed request is the server's error
        body = {"error": failed} if failed else answer
        response = {"status_code": status, "request_id": "req_1", "body": body}
        return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}
    if form == "vllm":
        response = {"status_code": status, "request_id": "vllm-batch-1", "body": None if failed else answer}
        return {"id": "vllm-1", "custom_id": custom_id, "response": response, "error": failed and {"error": failed}}
    if form == "sglang":  # one choice instead of a list
        if failed:
            response = {"status_code": status, "body": {"object": "error", **failed}}
        else:
            response = {"status_code": 200, "request_id": "1", "body": {**answer, "choices": answer["choices"][0]}}
        return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}
    return (
        {"custom_id": custom_id, "error": failed["message"]} if failed else {"custom_id": custom_id, "body": answer}
    )


def run_batch(
    files: Sequence[Path], output: Path, answer: Answer = made_up, form: str = "openai", most: int | None = None
) -> Path:
    """Answer the first `most` requests of the files, and write the results to `output`."""
    rows = requests_of(files)[:most]
    lines = [result_line(row["custom_id"], answer(row["body"]), form) for row in rows]
    output.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return output
