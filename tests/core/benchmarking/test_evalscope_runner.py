"""evalscope against a real OpenAI-compatible server, on local data; what is said where it cannot be run."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.benchmarking.evalscope import python_of, run_evalscope
from faq_tui.core.benchmarking.plan import BenchmarkRequest
from faq_tui.core.benchmarking.serving import ServedModel, Subject, listed, served
from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.report.benchmarks import benchmarks, section
from faq_tui.core.run.events import Event, Note
from faq_tui.core.run.run import Run
from faq_tui.core.stages import evaluate_benchmarks
from faq_tui.core.store.benchmarks import all_problems, all_results
from tests.support.benchmark_bench import ELDER, benchmark_run, evalscope_python, target_of
from tests.support.evaluate_bench import context_of

pytestmark = pytest.mark.slow

SERVER = f'["{sys.executable}", "-m", "faq_tui.core.embedded.server", "--port", "{{port}}"]'
EVALSCOPE = """
[evaluate.evalscope]
tasks = ["math_500", "live_code_bench:v5"]
python = "{python}"
base_url = "{url}"
dataset_dir = "data"
repeats = 2
limit = 2
enable_thinking = false
sampling = {{ temperature = 0.6, max_tokens = 16 }}
[evaluate.serve]
command = {command}
"""


def settings(url: str, python: str = sys.executable, command: str = SERVER) -> str:
    return EVALSCOPE.format(python=python, url=url, command=command)


def write_data(folder: Path) -> None:
    """MATH-500 in little: evalscope reads a folder as it reads the hub's."""
    rows = [
        {"problem": f"What is {n}+1?", "answer": str(n + 1), "level": 1 + n % 2, "unique_id": f"u{n}", "solution": ""}
        for n in range(4)
    ]
    place = folder / "data" / "math_500"
    place.mkdir(parents=True)
    (place / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def warnings_of(run: Run) -> list[str]:
    events: list[Event] = []
    evaluate_benchmarks.execute(context_of(run, events.append), target_of(run))
    return [event.message for event in events if isinstance(event, Note) and event.level == "warning"]


needs_evalscope = pytest.mark.skipif(
    evalscope_python() is None, reason="FAQ_TUI_EVALSCOPE_PYTHON names no Python with evalscope"
)


@needs_evalscope
def test_evalscope_measures_each_model_behind_a_real_server(tmp_path: Path, embedded_model: EmbeddedModel) -> None:
    write_data(tmp_path)
    with benchmark_run(tmp_path, settings("serve", evalscope_python() or ""), (ELDER,)) as run:
        warnings = warnings_of(run)
        assert len(warnings) == 1 and "live_code_bench:v5 is left out because it runs code" in warnings[0]
        assert "allow_code_execution = true" in warnings[0] and "Docker" in warnings[0]
        found = {r.subject: r for r in all_results(run.store) if r.name == "math_500"}
        assert set(found) == {UNQUANTIZED, ELDER}
        for result in found.values():
            assert (result.metric, result.n, result.repeats, result.num_fewshot) == ("accuracy", 4, 2, 0)
            assert result.engine_version == "1.14.0" and result.version == "v1.1" and result.higher_is_better
            assert result.items is not None and result.stderr is not None
            assert result.value == pytest.approx(sum(result.items) / 4)
        assert {r.name for r in all_results(run.store)} == {"math_500", "math_500/Level 1", "math_500/Level 2"}
        text = "\n".join(section({"benchmarks": benchmarks(run)}))
        assert f"math_500 | accuracy | {ELDER}" in " ".join(text.split()).replace("\\", "")
        assert "4 × 2" in text and "Measured by evalscope 1.14.0" in text
        assert not list((run.cache / "evalscope").iterdir()), "what is stored needs no cache"
        assert len(warnings_of(run)) == 1 and len(all_results(run.store)) == 6


class Recorder(ThreadingHTTPServer):
    """Answers every chat with "no", whole and at once, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[dict[str, Any]] = []


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Recorder)
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        choice = {"index": 0, "message": {"role": "assistant", "content": "no"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@needs_evalscope
def test_the_thinking_switch_reaches_the_server_and_code_is_run_by_nobody(tmp_path: Path) -> None:
    write_data(tmp_path)
    toml = settings("serve", evalscope_python() or "")
    with Recorder() as server, benchmark_run(tmp_path, toml, ()) as run:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        python, where = python_of(run), ServedModel(f"http://127.0.0.1:{server.server_port}/v1", "m")
        rows = run_evalscope(
            context_of(run), python, BenchmarkRequest(UNQUANTIZED, "evalscope", "math_500", "one"), where
        )
        assert len(server.asked) == 8 and rows[0]["value"] == 0.0
        for body in server.asked:
            assert body["chat_template_kwargs"] == {"enable_thinking": False}
            assert (body["top_k"], body["max_tokens"]) == (20, 16)
        for task, words in [("humaneval", "runs code that the model wrote"), ("no_such", "has no task 'no_such'")]:
            with pytest.raises(FaqError, match=words):
                run_evalscope(context_of(run), python, BenchmarkRequest(UNQUANTIZED, "evalscope", task, task), where)
        assert len(server.asked) == 8
        server.shutdown()


def test_a_missing_package_is_one_warning_for_all(tmp_path: Path) -> None:
    if evalscope_python() == sys.executable:
        pytest.skip("this Python has evalscope")
    with benchmark_run(tmp_path, settings("serve")) as run:
        warnings = warnings_of(run)
        assert (
            len(warnings) == 2
            and "has no evalscope" in warnings[1]
            and "pip install evalscope==1.14.0" in warnings[1]
        )
        assert len(all_problems(run.store)) == 6
    with benchmark_run(tmp_path / "other", settings("serve", "no/such/python")) as run:
        assert "no/such/python cannot be run" in warnings_of(run)[1]


def test_a_server_must_be_there_and_have_the_model(
    tmp_path: Path, embedded_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with benchmark_run(tmp_path, settings("serve", command='["no-such-program"]')) as run:
        artefact = Subject(ELDER, run.models / ELDER, target_of(run))
        for url, words in [
            (embedded_server.base_url, f"does not serve {ELDER} .it serves SmolLM2-135M-Instruct."),
            ("http://127.0.0.1:9/v1", "cannot reach http://127.0.0.1:9/v1 .*check `base_url`"),
            (embedded_server.base_url + "/no", "answers with status 404"),
            (
                "serve",
                "cannot be served, because there is no program 'no-such-program': install it",
            ),
        ]:
            with pytest.raises(FaqError, match=words), served(context_of(run), artefact, url, None):
                pass
        named = Subject("SmolLM2-135M-Instruct", run.folder, target_of(run))
        with served(context_of(run), named, embedded_server.base_url, None) as found:
            assert found.model == "SmolLM2-135M-Instruct" and list(listed(found.base_url)) == [found.model]


def test_a_program_that_ends_at_once_is_said_to_have(tmp_path: Path) -> None:
    with benchmark_run(
        tmp_path, settings("serve", command=f'["{sys.executable}", "-c", "raise SystemError(3)"]')
    ) as run:
        subject = Subject(ELDER, run.models / ELDER, target_of(run))
        with (
            pytest.raises(
                FaqError, match=r'ended before it served .*: see its output in .* first error is: "SystemError: 3"'
            ),
            served(context_of(run), subject, "serve", None),
        ):
            pass
