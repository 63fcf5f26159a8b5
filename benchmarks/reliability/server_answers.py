"""Hostile answers of servers: event streams, whole HTTP responses, lists of models, output files of batches, and the
texts of a judge.

    python benchmarks/reliability/server_answers.py [--count 5000] [--seed 0] [--seconds 600] [--commands 40]

A server on the loopback network sends the streams and responses, so the real HTTP client reads them. An
error counts as handled if `faults.explain` describes it, because the commands then show a sentence or try again.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from campaign import main
from mutations import as_json, of_bytes, of_json, of_tree

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError
from faq_tui.core.endpoints import Client, look, stream_chat
from faq_tui.core.endpoints.chat import OnDelta
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.judging.reply import InvalidReplyError, example, parse_by_schema, salvage
from faq_tui.core.judging.reply_json import ALONE
from faq_tui.core.regenerating.batch import read_batch, write_batch
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import open_run
from faq_tui.core.settings import Endpoint, Sampling
from faq_tui.core.stages import seeds as stage
from tests.support.fakes.raw_http import ok, raw_server
from tests.support.shell import make_run

LABELS = ("A", "B", "C")
KINDS = ("stream", "stream", "stream", "whole", "http", "models", "batch", "batch", "judge")
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
MESSAGES = [{"role": "user", "content": "What?"}]
PATIENCE_S = 8.0  # a longer wait is a fault, because the whole answer has arrived at once


def _chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


STREAMS: tuple[list[Any], ...] = (
    [_chunk({"role": "assistant", "content": ""}), *(_chunk({"content": f"w{n} "}) for n in range(5))],
    [
        *(_chunk({"reasoning_content": f"r{n} "}) for n in range(3)),
        _chunk({"content": "a"}),
        _chunk({"content": "b"}),
    ],
    [_chunk({"content": "<think>a"}), _chunk({"content": "</think>"}), _chunk({"content": [{"type": "text"}]})],
    [_chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}), _chunk({"refusal": "no"})],
    [_chunk({"content": "a"}), {"error": {"message": "overloaded", "code": 503}}],
)
ENDS = [_chunk({}, "stop"), {"id": "c1", "choices": [], "usage": USAGE}]
WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "said"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
LISTS: tuple[Any, ...] = (
    {"object": "list", "data": [{"id": "m", "max_model_len": 4096, "owned_by": "vllm"}]},
    {"models": [{"name": "m", "details": {"context_length": "4096"}}]},
    ["m", "n"],
)


class ServerAnswers:
    def __init__(self, work: Path) -> None:
        self.work = work
        self.made = make_run(work / "made", seeds=4, source="candidates = 2")
        with open_run(self.made) as run:
            stage.execute(Context(run, lambda _event: None, CancelToken(), ""))
            (file,) = write_batch(run, (), None, 50_000, None)
        asked = [json.loads(line) for line in file.path.read_text().splitlines()]
        self.lines = [
            {"id": "b", "custom_id": one["custom_id"], "response": {"status_code": 200, "body": WHOLE}, "error": None}
            for one in asked
        ]
        self.copies = 0

    def make(self, dice: random.Random) -> dict[str, bytes]:
        kind = dice.choice(KINDS)
        if kind == "stream":
            return {kind: self._stream(dice)}
        if kind == "whole":
            return {kind: of_json(dice, json.dumps(WHOLE).encode())}
        if kind == "http":
            return {kind: _response(dice, self._stream(dice))}
        if kind == "models":
            return {kind: of_json(dice, json.dumps(dice.choice(LISTS)).encode())}
        if kind == "judge":
            labels = dice.choice((LABELS, (ALONE,)))
            text = example(labels).replace("<1 to 10>", "7").encode()
            prose = dice.choice((b"", b"Answer A: 8/10\nAnswer B: 3 out of 10\n", b"```json\n", b"the score is 7 "))
            return {kind: prose + of_json(dice, text)}
        lines = [json.dumps(line).encode() for line in self.lines]
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(lines))
            lines[at] = of_json(dice, lines[at])
        data = b"\n".join(lines)
        return {"batch": gzip.compress(data, mtime=0) if dice.random() < 0.1 else data}

    def _stream(self, dice: random.Random) -> bytes:
        chunks: list[Any] = [*dice.choice(STREAMS), *ENDS]
        if dice.random() < 0.7:
            chunks = of_tree(dice, chunks)
        chunks = chunks if isinstance(chunks, list) else [chunks]
        lines = []
        for chunk in chunks:
            field = dice.choice((b"data: ", b"data: ", b"data:", b"data: ", b"event: x\ndata: ", b"id: 1\ndata: "))
            lines.append((field if dice.random() < 0.2 else b"data: ") + as_json(dice, chunk))
        data = dice.choice((b"\n\n", b"\r\n\r\n")).join([*lines, b"data: [DONE]", b""])
        return of_bytes(dice, data) if dice.random() < 0.5 else data

    def attempt(self, files: Mapping[str, bytes]) -> ExitCode | None:
        ((kind, data),) = files.items()
        if kind == "judge":
            text = data.decode("utf-8", "replace")
            for labels in (LABELS, (ALONE,)):
                salvage(text, labels)
                try:
                    parse_by_schema(text, labels)
                except InvalidReplyError:
                    continue
            return None
        if kind == "batch":
            return self._batch(data)
        content = {"stream": "text/event-stream", "whole": "application/json", "models": "application/json"}
        return asyncio.run(_asked(data if kind == "http" else ok(data, content[kind]), kind == "models"))

    def _batch(self, data: bytes) -> ExitCode:
        folder = self._copy(self.work / f"copy-{self.copies % 2}")
        self.copies += 1
        (folder / "out.jsonl").write_bytes(data)
        with open_run(folder) as run:
            summary = read_batch(run, [folder / "out.jsonl"], CancelToken())
        json.dumps(summary.as_json())
        summary.in_words()
        return ExitCode.DONE if summary.useful else ExitCode.USAGE

    def _copy(self, folder: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return Path(shutil.copytree(self.made, folder))

    def command(self, files: Mapping[str, bytes], folder: Path) -> Sequence[str]:
        ((_kind, data),) = files.items()
        self._copy(folder / "run")
        (folder / "out.jsonl").write_bytes(data)
        return ["batch", "read", str(folder / "run"), str(folder / "out.jsonl")]


def _response(dice: random.Random, body: bytes) -> bytes:
    """A whole HTTP response whose head or framing is wrong."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream"]
    kind = dice.randrange(8)
    if kind == 0:
        lines[0] = dice.choice((b"HTTP/1.1 200", b"HTTP/9.9 200 OK", b"ICY 200 OK", b"HTTP/1.1 99999 X", b"", b"\0"))
    elif kind == 1:
        lines += [b"X-%d: %s" % (n, b"y" * 100) for n in range(dice.choice((50, 2000, 20_000)))]
    elif kind == 2:
        lines.append(b"X-Long: " + b"z" * dice.choice((8000, 200_000, 2_000_000)))
    elif kind == 3:
        informing, others = (
            (100, 101, 204, 206, 301, 304, 307),
            (400, 401, 404, 413, 418, 422, 429, 500, 503, 529, 599),
        )
        status = dice.choice((*informing, *others))
        lines[0] = b"HTTP/1.1 %d X" % status
        lines += [b"Location: " + dice.choice((b"http://[", b"//x", b"\xff", b"/")), b"Retry-After: 9" + b"9" * 400]
    elif kind == 4:
        lines += [b"Content-Encoding: " + dice.choice((b"gzip", b"deflate", b"br", b"gzip, gzip", b"\xff"))]
        if dice.random() < 0.7:
            body = gzip.compress(body + bytes(dice.choice((0, 1 << 20, 32 << 20))), mtime=0)
            body = of_bytes(dice, body) if dice.random() < 0.5 else body
    elif kind == 5:
        lines.append(b"Transfer-Encoding: chunked")
        size = dice.choice((b"%x" % len(body), b"-1", b"fffffffffffffffff", b"g", b"", b"1;" + b"x" * 100_000))
        body = size + b"\r\n" + body + b"\r\n0\r\n\r\n"
    elif kind == 6:
        lines.append(b"Content-Length: " + dice.choice((b"-1", b"1", b"9" * 40, b"x", b"1, 2", b"\xb2")))
    head = b"\r\n".join([*lines, b"", b""])
    return (of_bytes(dice, head) if kind == 7 else head) + body


async def _asked(answer: bytes, lists: bool) -> ExitCode:
    shown: OnDelta = lambda _reasoning, _answer: None  # noqa: E731
    async with raw_server(answer) as server:
        endpoint = Endpoint(base_url=server.url, model="m", connect_timeout_s=2, idle_timeout_s=1)
        try:
            async with asyncio.timeout(PATIENCE_S), Client(endpoint) as client:
                if lists:
                    await look(client, endpoint)
                else:
                    reply = await stream_chat(client, "m", MESSAGES, Sampling(), 0, {}, shown)
                    (reply.reasoning + reply.answer + reply.refusal).encode()
        except FaqError:
            raise
        except TimeoutError as error:
            if not str(error):
                raise RuntimeError(f"the answer was not read within {PATIENCE_S:g} s") from error
            return ExitCode.FAILED
        except Exception as error:
            if explain(error, endpoint) is None:
                raise
            return ExitCode.FAILED
    return ExitCode.DONE


if __name__ == "__main__":
    main("Hostile answers of servers", "server_answers", ServerAnswers, 5000, ("openai", "httpx2", "aiohttp"))
