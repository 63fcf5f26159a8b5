"""A hub with one model, which answers slowly enough to watch a download."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 1 << 20


@contextmanager
def fake_hub(model: str, files: Mapping[str, bytes], pause_s: float = 0.0) -> Iterator[str]:
    """The address of the hub. It waits `pause_s` after each CHUNK of bytes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(f"/api/models/{model}/revision/"):
                siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
                return self._send(json.dumps({"id": model, "sha": COMMIT, "siblings": siblings}).encode(), {}, body)
            if path.startswith(f"/api/models/{model}/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in files.items()
                ]
                return self._send(json.dumps(tree).encode(), {"Content-Type": "application/json"}, body)
            name = path.rpartition(f"/{model}/resolve/{COMMIT}/")[2]
            if name in files:
                found = {"ETag": f'"{hashlib.sha1(files[name]).hexdigest()}"', "X-Repo-Commit": COMMIT}
                return self._send(files[name], found, body)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None

        def _send(self, data: bytes, headers: Mapping[str, str], body: bool) -> None:
            self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            for start in range(0, len(data) if body else 0, CHUNK):
                self.wfile.write(data[start : start + CHUNK])
                self.wfile.flush()
                time.sleep(pause_s)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
