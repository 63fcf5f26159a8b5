"""A server that scores prompts as vLLM does: `python scoring_server.py PORT NAME WINDOW STARTS`.

It lists its window, and refuses a request that is longer than the window with vLLM's words. When it starts, it
appends a line to the file STARTS. The score of a token is computed from its id.
"""

from __future__ import annotations

import json
import sys
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.json_handler import JsonHandler


def score(token: int) -> float:
    return -1.0 - token % 7


def main(port: int, name: str, window: int, starts: Path) -> None:
    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.send_json(200, {"object": "list", "data": [{"id": name, "max_model_len": window}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (tokens,) = body["prompt"]
            longest = len(tokens) + body["max_tokens"]
            if longest > window:
                self.send_json(
                    400, {"error": {"message": f"maximum context length is {window} tokens, not {longest}"}}
                )
                return
            scores = [None, *map(score, tokens[1:]), -0.5] if body.get("echo") else [-0.5]
            logprobs: dict[str, Any] = {
                "token_logprobs": scores,
                "top_logprobs": [None if s is None else {"x": s} for s in scores],
            }
            logprobs |= {"tokens": ["x"] * len(scores), "text_offset": [0] * len(scores)}
            self.send_json(200, {"choices": [{"index": 0, "text": " dog", "logprobs": logprobs}]})

    with starts.open("a") as file:
        file.write(name + "\n")
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
