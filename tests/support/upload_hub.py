"""A hub on loopback that takes uploads: repositories, LFS in one or several parts, and commits.

It speaks the part of the hub's protocol that huggingface_hub uses without hf_xet. Its users have the tokens TOKEN
(write) and READ_TOKEN. It can close connections in the middle of a file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN, READ_TOKEN = "hf_aSecretTokenThatWrites", "hf_aSecretTokenThatReads"
LFS_FROM = 1 << 12  # larger files are sent through LFS
PART = 1 << 16  # size of a part of a large file
PIECE = 1 << 14


@dataclass
class HubRepository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1("".join(self.commits).encode()).hexdigest()


@dataclass
class UploadHub:
    """`repositories` has keys such as "models/me/mine". Tests change the other fields while the hub runs."""

    url: str = ""
    repositories: dict[str, HubRepository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # LFS: sha256 to content
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    received: int = 0  # bytes of LFS content
    requests: list[str] = field(default_factory=list)
    cuts: int = 0  # so many uploads of LFS content are cut off in the middle
    hang: threading.Event | None = None  # set when half of an LFS object has arrived; the hub then stops reading
    go_on: threading.Event = field(default_factory=threading.Event)  # when set, the hub that stopped reads on
    say: str = ""  # what every commit is refused with
    warn: str = ""  # a warning about every card
    lose: str = ""  # a file that a commit leaves out
    page: tuple[int, str, bytes] | None = None  # status, content type and body of every answer, as of a proxy
    page_after: int = 0  # so many requests are answered as usual before `page`

    @property
    def models(self) -> dict[str, bytes]:
        (one,) = (repo for name, repo in self.repositories.items() if name.startswith("models/"))
        return one.files


@contextmanager
def upload_hub() -> Iterator[UploadHub]:
    hub = UploadHub()

    class Handler(_Handler):
        state = hub

    server = _QuietServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """Print nothing if a client has gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: UploadHub

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("HEAD")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, verb: str) -> None:
        hub, path = self.state, unquote(self.path.partition("?")[0])
        hub.requests.append(f"{verb} {path}")
        if verb == "PUT" and (match := re.fullmatch(r"/lfs/(\w+)(?:/(\d+))?", path)):
            return self._take(match[1], int(match[2] or 0))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if hub.page is not None and len(hub.requests) > hub.page_after:
            return self._page(*hub.page)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if path.startswith("/lfs/complete/"):  # a signed URL
            oid = path.rpartition("/")[2]
            self._keep(oid, b"".join(part for _, part in sorted(hub.parts.pop(oid).items())))
            return self._json({})
        if token not in (TOKEN, READ_TOKEN):
            return self._json({"error": f"no such token: {token}"}, 401)
        if path == "/api/whoami-v2":
            role = "write" if token == TOKEN else "read"
            return self._json({"name": "me", "auth": {"accessToken": {"role": role}}})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": [{"message": hub.warn}] if hub.warn else []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"/(datasets/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body))
        match = re.fullmatch(r"/api/(models|datasets)/([\w.-]+/[\w.-]+)(?:/(\w+)/(.*))?", path)
        repo = hub.repositories.get(f"{match[1]}/{match[2]}") if match else None
        if match is None or repo is None:
            self.close_connection = False
            return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        if match[3] is None or match[3] == "revision":
            siblings = [{"rfilename": name} for name in repo.files]
            return self._json({"id": match[2], "private": repo.private, "sha": repo.sha, "siblings": siblings})
        if match[3] == "tree":
            tree = [{"type": "file", "path": n, "size": len(d), "oid": _git(d)} for n, d in repo.files.items()]
            return self._json(tree)
        if match[3] == "preupload":
            return self._json({"files": [self._mode(file, repo) for file in json.loads(body)["files"]]})
        return self._commit(repo, path.rpartition("/commit/")[0], [json.loads(line) for line in body.splitlines()])

    def _page(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _create(self, asked: dict[str, Any]) -> None:
        if asked["organization"] != "me":
            return self._json({"error": f"You cannot write to {asked['organization']}"}, 403)
        kind = asked.get("type") or "model"
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.state.repositories[f"{kind}s/me/{asked['name']}"] = HubRepository(private)
        return self._json({"url": f"{self.state.url}/me/{asked['name']}"})

    def _mode(self, file: dict[str, Any], repo: HubRepository) -> dict[str, Any]:
        large = file["size"] > LFS_FROM or file["path"].endswith((".safetensors", ".jsonl"))
        there = repo.files.get(file["path"])
        oid = None if there is None else hashlib.sha256(there).hexdigest() if large else _git(there)
        return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for one in asked["objects"]:
            oid, size = one["oid"], one["size"]
            answer: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.state.objects:
                upload: dict[str, Any] = {"href": f"{self.state.url}/lfs/{oid}"}
                if size > PART:
                    count = -(-size // PART)
                    urls = {str(n): f"{self.state.url}/lfs/{oid}/{n}" for n in range(1, count + 1)}
                    upload = {
                        "href": f"{self.state.url}/lfs/complete/{oid}",
                        "header": {"chunk_size": str(PART), **urls},
                    }
                answer["actions"] = {"upload": upload}
            objects.append(answer)
        return self._json({"transfer": "basic", "objects": objects})

    def _take(self, oid: str, part: int) -> None:
        hub, content = self.state, b""
        length = int(self.headers.get("Content-Length") or 0)
        while len(content) < length:
            piece = self.rfile.read(min(PIECE, length - len(content)))
            if not piece:  # the client has gone
                self.close_connection = True
                return None
            content += piece
            hub.received += len(piece)
            if len(content) >= length // 2 and hub.hang is not None:
                hub.hang.set()
                hub.go_on.wait(60)
            if len(content) >= length // 2 and hub.cuts > 0:
                hub.cuts -= 1
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return None
        if part:
            hub.parts.setdefault(oid, {})[part] = content
        else:
            self._keep(oid, content)
        return self._json({}, headers={"ETag": hashlib.md5(content).hexdigest()})

    def _keep(self, oid: str, content: bytes) -> None:
        assert hashlib.sha256(content).hexdigest() == oid
        self.state.objects[oid] = content

    def _commit(self, repo: HubRepository, path: str, lines: list[dict[str, Any]]) -> None:
        if self.state.say:
            return self._json({"error": self.state.say}, 400)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.state.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.files.pop(self.state.lose, None)
        repo.commits.append(lines[0]["value"]["summary"])
        page = self.state.url + path.removeprefix("/api").removeprefix("/models")
        return self._json({"success": True, "commitUrl": f"{page}/commit/{repo.sha}", "commitOid": repo.sha})

    def _json(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
