"""`faq-tui doctor` and a headless run say whether sources are of the target's family; nothing is blocked by it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.doctor import family_checks
from faq_tui.core.run.run import Run, open_run
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.schemas import valid
from tests.support.shell import faq_tui, make_run
from tests.support.tiny import make_tiny_model

TOML = """
[target]
model = "{target}"
[seeds]
path = "starter"
[sources.elder]
base_url = "{url}"
model = "{elder}"
"""


@contextmanager
def listing(models: list[dict[str, Any]]) -> Iterator[str]:
    """A server that only lists its models, as vLLM does: `root` is what it loaded."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"object": "list", "data": models}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def family_check(folder: Path) -> dict[str, Any]:
    body = json.loads(faq_tui("doctor", folder, "--json").out)
    (found,) = [check for check in body["checks"] if check["name"] == "family elder"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("target", "elder", "state", "words"),
    [
        (
            "Qwen/Qwen3-8B",
            "Qwen3-235B-A22B-FP8",
            "ok",
            "family: Qwen3-235B-A22B-FP8; Qwen3-8B is a name of the Qwen3",
        ),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "DeepSeek-R1", "warning", "so this source is a teacher"),
        ("Qwen/Qwen3-8B", "Qwen3-4B", "ok", "family: Qwen3-4B"),
        ("Qwen/Qwen3-8B", "mystery", "warning", "family unknown: mystery; "),
    ],
)
def test_doctor(tmp_path: Path, target: str, elder: str, state: str, words: str) -> None:
    (tmp_path / "faq.toml").write_text(TOML.format(target=target, elder=elder, url="http://127.0.0.1:9/v1"))
    found = family_check(tmp_path)
    assert found["state"] == state and words in found["found"]
    assert ("Qwen/Qwen3-235B-A22B" in found["advice"]) == (state == "warning")
    shown = faq_tui("doctor", tmp_path).out
    assert "family elder" in shown and words in " ".join(shown.split())


NOT_LARGER = "the source is not larger than the target: "


@pytest.mark.parametrize(
    ("target", "elder", "parameters", "words"),
    [
        ("Qwen/Qwen3-8B", "Qwen3-4B", None, "it has 4 billion parameters, and the target has 8 billion, "),
        ("Qwen/Qwen3-8B", "Qwen3-8B-FP8", None, "it is the same model, "),
        ("Qwen/Qwen3-8B", "Other-8B", None, "it has 8 billion parameters, and the target has 8 billion, "),
        ("embedded", "mystery", 134_515_008, "it has 135 million parameters, and the target has 135 million, "),
        ("Qwen/Qwen3-8B", "mystery", 8_190_735_360, "it has 8.19 billion parameters, and the target has 8 billion, "),
        ("Qwen/Qwen3-8B", "mystery", 32_000_000_000, ""),
        ("Qwen/Qwen3-8B", "Qwen3-32B", 4_000_000_000, ""),
        ("Qwen/Qwen3-8B", "mystery", None, ""),
        ("Qwen/Qwen3-8B", "mystery", "7", ""),
        ("Qwen/Qwen3-8B", "mystery", -7, ""),
    ],
)
def test_a_source_that_is_not_larger(tmp_path: Path, target: str, elder: str, parameters: Any, words: str) -> None:
    meta = {} if parameters is None else {"meta": {"n_params": parameters}}
    with listing([{"id": elder, **meta}]) as url, open_draft(tmp_path, target, elder, url) as run:
        found = [check for check in family_checks(run) if check.name == "size elder"]
    assert [check.found for check in found] == [f"{NOT_LARGER}{words}so do not expect a gain"] * bool(words)
    assert {check.state for check in found} <= {"warning"}


def test_the_weights_say_how_large_a_model_is(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "small")
    listed = [{"id": "mystery", "meta": {"n_params": 9_000}}]
    with listing(listed) as url, open_draft(tmp_path, "./small", "mystery", url) as run:
        (size,) = [check for check in family_checks(run) if check.name == "size elder"]
    assert "it has 0.009 million parameters" in size.found


def test_a_source_that_is_the_target_by_the_settings(tmp_path: Path) -> None:
    with open_draft(tmp_path, "Qwen/Qwen3-8B", "Qwen3-8B", "http://127.0.0.1:9/v1", "self") as run:
        assert [check.name for check in family_checks(run)] == ["family self"]


@contextmanager
def open_draft(folder: Path, target: str, elder: str, url: str, name: str = "elder") -> Iterator[Run]:
    text = TOML.format(target=target, elder=elder, url=url).replace("sources.elder", f"sources.{name}")
    (folder / "faq.toml").write_text(text)
    with open_run(folder) as run:
        yield run


def test_the_server_says_what_it_loaded_and_it_is_remembered(tmp_path: Path) -> None:
    with listing([{"id": "other"}, {"id": "big", "root": "/models/Qwen3-235B-A22B"}]) as url:
        (tmp_path / "faq.toml").write_text(TOML.format(target="Qwen/Qwen3-8B", elder="big", url=url))
        found = family_check(tmp_path)
        assert found["state"] == "ok" and "/models/Qwen3-235B-A22B" in found["found"]
    assert "family: /models/Qwen3-235B-A22B" in family_check(tmp_path)["found"]  # the server is gone


@pytest.mark.parametrize("root", [None, 7, "", ["x"]])
def test_a_server_that_says_nothing_of_use(tmp_path: Path, root: Any) -> None:
    with listing([{"id": "big", "root": root}]) as url:
        (tmp_path / "faq.toml").write_text(TOML.format(target="Qwen/Qwen3-8B", elder="big", url=url))
        assert "family unknown: big" in family_check(tmp_path)["found"]


def test_a_headless_run_warns_and_goes_on(tmp_path: Path) -> None:
    with FakeServer() as server:
        server.behaviour = Behaviour(models=("Llama-3.1-405B",))
        folder = make_run(tmp_path / "run", server.url, seeds=3, target="Qwen/Qwen3-8B")
        text = (folder / "faq.toml").read_text()
        (folder / "faq.toml").write_text(text.replace("fake-8b", "Llama-3.1-405B"))
        done = faq_tui("run", folder, "--until", "regenerate")
    assert done.code == ExitCode.DONE, done
    assert "warning: source elder: Llama-3.1-405B is not of the target's family: stranger" in done.err
    assert "; elders of Qwen3-8B: Qwen/Qwen3-235B-A22B, Qwen/Qwen3-32B" in done.err


pytest_plugins = ["tests.support.weightless_run"]


def test_doctor_validates(run_folder: Path) -> None:
    for command in (["doctor", "--json"], ["doctor", str(run_folder), "--json"]):
        body = json.loads(faq_tui(*command).out)
        valid("doctor", body)
        names = {check["name"] for check in body["checks"]}
        assert {"python", "C compiler", "libpcre2", "torch", "GPU", "memory", "disk", "embedded model"} <= names
    by_name = {check["name"]: check for check in body["checks"]}
    assert (by_name["source elder"]["state"], by_name["judge"]["state"]) == ("failed", "failed")
    assert by_name["source elder"]["advice"].startswith("cannot reach")
