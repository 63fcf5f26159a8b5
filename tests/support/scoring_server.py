"""A server that scores prompts as vLLM does: `python scoring_server.py PORT NAME WINDOW STARTS`.

It lists its window, and refuses a request that is longer than the window with vLLM's words. When it starts, it
appends a line to the file STARTS. The score of a token is computed from its id.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def score(token: int) -> float:
    return -1.0 - token % 7


def main(port: int, name: str, window: int, starts: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": name, "max_model_len": window}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (tokens,) = body["prompt"]
            longest = len(tokens) + body["max_tokens"]
            if longest > window:
                self._send(400, {"error": {"message": f"maximum context length is {window} tokens, not {longest}"}})
                return
            scores = [None, *map(score, tokens[1:]), -0.5] if body.get("echo") else [-0.5]
            logprobs: dict[str, Any] = {
                "token_logprobs": scores,
                "top_logprobs": [None if s is None else {"x": s} for s in scores],
            }
            logprobs |= {"tokens": ["x"] * len(scores), "text_offset": [0] * len(scores)}
            self._send(200, {"choices": [{"index": 0, "text": " dog", "logprobs": logprobs}]})

        def _send(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with starts.open("a") as file:
        file.write(name + "\n")
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
