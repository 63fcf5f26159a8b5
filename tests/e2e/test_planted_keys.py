"""Keys and passwords are planted for every server of a run, and servers and programs repeat them wherever they can.

Afterwards they are in no file, no output and no command line. A program has no key in its environment that it does
not need.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from faq_tui.core.artefacts.server_control import start_server, stop_server
from faq_tui.core.run.run import open_run
from faq_tui.core.run.server_record import SERVING, read_server
from faq_tui.core.store.artefacts import all_artefacts
from tests.support.benchmark_bench import write_tasks
from tests.support.fake_server import Asked, Behaviour, FakeServer, Fault, answer_of
from tests.support.job_bench import wait_for
from tests.support.json_handler import JsonHandler
from tests.support.judge_bench import is_judge, marks
from tests.support.served_app import connected, served_app
from tests.support.shell import FAQ_TUI, environment, faq_tui_process
from tests.support.tiny import TINY_RUN, make_tiny_run
from tests.support.try_run import SERVER

pytestmark = pytest.mark.slow

PASSWORD = "planted-password-0001"
KEYS = {f"PLANTED_{name}": f"sk-planted-{name.lower()}-0002" for name in ("JUDGE", "LM", "SCOPE", "HEADER")}
SECRETS = (PASSWORD, *KEYS.values())
# Writes its environment backwards, so that a key in it is found even after the files have been searched for keys.
ENVIRONMENT = "repr(sorted(os.environ.items()))[::-1]"
EVALSCOPE = {
    "__init__.py": "__version__ = '1.14.0'",
    "api/__init__.py": "",
    "api/registry.py": "def get_benchmark(name, config): return type('B', (), {'benchmark_meta': None})()",
    "config.py": "class TaskConfig:\n    def __init__(self, **all): self.all = all\n",
    "run.py": (
        "import os, pathlib, sys\n"
        "def run_task(config):\n"
        "    work = pathlib.Path(config.all['work_dir'])\n"
        "    (work / 'configs').mkdir(parents=True)\n"
        "    (work / 'configs' / 'task.yaml').write_text(repr(config.all))\n"
        f"    (work / 'environment.txt').write_text({ENVIRONMENT})\n"
        "    print('evalscope uses', config.all['api_key'], flush=True)\n"
        "    raise RuntimeError('the server refuses ' + config.all['api_key'])\n"
    ),
}
SETTINGS = """
[sources.elder]
base_url = "{elder}"
model = "fake-8b"
candidates = 1
retry_wait_s = 0
extra_headers = {{ X-Tenant = "$PLANTED_HEADER" }}
[judge]
kind = "llm"
base_url = "{judge}"
model = "judge-72b"
api_key_env = "PLANTED_JUDGE"
probe = 0
[[recipes]]
group_size = 64
sets = ["elder"]
[evaluate]
perplexity = ["seeds.txt"]
window = 32
prose_tokens = 64
answer_tokens = 4
last_word = []
multiple_choice = []
[evaluate.lm_eval]
mode = "endpoint"
base_url = "{refusing}"
api_key_env = "PLANTED_LM"
tasks = ["local_word"]
include_path = "tasks"
[evaluate.evalscope]
base_url = "{refusing}"
api_key_env = "PLANTED_SCOPE"
tasks = ["aime24"]
[evaluate.serve]
command = {serve}
ready_timeout_s = 60
"""
NAME = "gptq-w4g64-elder"


def behaviour() -> Behaviour:
    def text(asked: Asked) -> str:
        if is_judge(asked):
            return marks(asked, lambda _text, _place: 5, reason=f"I was paid with {asked.key}")
        return f"{answer_of(asked.question, asked.number)} Your password is {PASSWORD}, sent as {asked.key}."

    def fault(asked: Asked) -> Fault | None:
        return Fault("status", 500, f"no credit for {asked.key} {PASSWORD}") if asked.attempt == 1 else None

    return Behaviour(models=("fake-8b", "judge-72b"), reply=text, fault=fault)


@contextmanager
def refusing_server() -> Iterator[str]:
    """A server that lists all models, and refuses each completion with the key that it got."""

    class Refusing(JsonHandler):
        def do_GET(self) -> None:
            models = [{"id": name} for name in ("unquantized", "target", NAME)]
            self.send_json(200, {"object": "list", "data": models})

        def do_POST(self) -> None:
            self.send_json(401, {"error": {"message": f"Incorrect key: {self.headers['Authorization']}"}})

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


@contextmanager
def watched_command_lines() -> Iterator[set[bytes]]:
    """The command lines of all processes that run during the block."""
    seen, ended = set[bytes](), threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for entry in Path("/proc").iterdir():
                if entry.name.isdecimal():
                    try:
                        seen.add((entry / "cmdline").read_bytes())
                    except OSError:
                        continue

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    ended.set()
    thread.join()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str], set[bytes]]]:
    """The run, all outputs of commands on it, and the command lines that were seen meanwhile."""
    root = tmp_path_factory.mktemp("planted")
    folder, packages = root / "run", root / "packages"
    for name, code in EVALSCOPE.items():
        (packages / "evalscope" / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / "evalscope" / name).write_text(code)
    serve = f"import os; print({ENVIRONMENT}, flush=True); {SERVER}"
    before = os.umask(0)
    try:
        with FakeServer(behaviour()) as server, refusing_server() as refusing:
            values = {
                "elder": server.url.replace("//", f"//me:{PASSWORD}@"),
                "judge": server.url,
                "refusing": refusing,
                "serve": json.dumps([sys.executable, "-c", serve, "{port}", "{name}"]),
            }
            folder.mkdir(mode=0o755)
            make_tiny_run(
                folder,
                TINY_RUN.replace("enabled = false", "").replace("max_tokens = 64", "max_tokens = 400")
                + SETTINGS.format(**values),
            )
            write_tasks(folder / "tasks")
            path = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
            env = environment(**KEYS, PYTHONPATH=path)
            with watched_command_lines() as seen:
                outputs = [text for call in calls(folder) for text in output(call, env)]
                with pytest.MonkeyPatch.context() as patch:
                    for name, value in KEYS.items():
                        patch.setenv(name, value)
                    serve_artefact(folder)
                outputs.append(in_the_browser(folder, {**KEYS, "PYTHONPATH": path}))
            yield folder, outputs, seen
    finally:
        os.umask(before)


def calls(folder: Path) -> list[list[str]]:
    run = str(folder)
    return [
        ["run", run, "--json"],
        ["status", run],
        ["status", run, "--json"],
        ["doctor", run],
        ["report", run],
        ["report", run, "--format", "html"],
        ["compare", run, run],
        ["try", run, "--prompt", "Which box?", "--max-tokens", "4"],
    ]


def output(arguments: list[str], env: dict[str, str]) -> list[str]:
    done = subprocess.run([*FAQ_TUI, *arguments], capture_output=True, text=True, env=env, timeout=600)
    assert "Traceback" not in done.stderr, done.stderr
    if arguments[0] == "run":
        assert done.returncode == 0, done.stderr
    return [done.stdout, done.stderr]


def serve_artefact(folder: Path) -> None:
    with open_run(folder) as run:
        server = start_server(run, all_artefacts(run.store)[NAME])
        wait_for(lambda: (now := read_server(run.jobs, NAME)) is not None and now.state == SERVING, 60)
        stop_server(server)
        wait_for(lambda: (now := read_server(run.jobs, NAME)) is not None and not now.is_live, 60)


def in_the_browser(folder: Path, env: dict[str, str]) -> str:
    """Everything that `faq-tui serve` sends to a page, while a person looks at each pane and at the settings."""

    async def look(link: str) -> bytes:
        async with aiohttp.ClientSession() as session, session.get(link) as page:
            got = bytearray(await page.read())
        async with connected(link) as connection:
            await connection.wait_to_see("Seeds")
            for keys, seen in (("2", "elder"), ("3", "password"), ("]]", NAME), ("]", "KL"), (",", "judge")):
                await connection.press(keys)
                await connection.wait_to_see(seen)
            return bytes(got + connection.received)

    with served_app(folder, **env) as app:
        got = asyncio.run(look(app.link))
        code, error = app.end()
    assert code == 0 and "Traceback" not in error, error
    return got.decode(errors="replace") + error


def own_files(folder: Path) -> list[Path]:
    """All files of the run but those that the person wrote."""
    given = ("faq.toml", "seeds.txt", "target", "tasks")
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and p.relative_to(folder).parts[0] not in given]


def test_the_servers_and_programs_did_repeat_them(finished: tuple[Path, list[str], set[bytes]]) -> None:
    """Otherwise the other tests could not fail."""
    folder, outputs, _ = finished
    log = "".join(path.read_text(errors="replace") for path in (folder / "jobs").glob("*/log.txt"))
    assert f"evalscope uses {'*' * len(KEYS['PLANTED_SCOPE'])}" in log
    assert "Your password is ***" in (folder / "calibration" / "elder.jsonl").read_text()
    assert "the server refuses ***" in outputs[0] or "the server refuses *" in outputs[0]
    with open_run(folder, read_only=True) as run:
        raws = [row[0] for row in run.store.db.execute("SELECT raw FROM judge_replies")]
    assert raws and all("I was paid with ***" in raw for raw in raws)
    assert "password" in outputs[-1], "the page in the browser showed an answer"


def test_they_are_in_no_file(finished: tuple[Path, list[str], set[bytes]]) -> None:
    folder, _, _ = finished
    files = own_files(folder)
    assert len(files) > 20
    for path in files:
        data = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in data], path


def test_they_are_in_no_output(finished: tuple[Path, list[str], set[bytes]]) -> None:
    for text in finished[1]:
        assert not [secret for secret in SECRETS if secret in text], text[-3000:]


def test_they_are_in_no_command_line(finished: tuple[Path, list[str], set[bytes]]) -> None:
    seen = finished[2]
    assert any(b"evalscope_runner" in line for line in seen) and any(b"server_child" in line for line in seen)
    assert not [line for line in seen if any(secret.encode() in line for secret in SECRETS)]


def test_a_program_gets_only_its_own_key(finished: tuple[Path, list[str], set[bytes]]) -> None:
    folder, _, _ = finished
    scopes = [path.read_text() for path in (folder / ".cache" / "evalscope").rglob("environment.txt")]
    assert scopes and all(KEYS["PLANTED_SCOPE"][::-1] in scope for scope in scopes)
    others = [KEYS[name][::-1] for name in KEYS if name != "PLANTED_SCOPE"]
    assert not [key for key in others for scope in scopes if key in scope]
    served = (folder / "jobs" / f"serve-{NAME}" / "log.txt").read_text(errors="replace")
    assert "HTAP"[::-1] in served[::-1], "the environment was printed"
    assert not [key for key in KEYS.values() if key[::-1] in served]


def test_the_consent_to_code_is_recorded(finished: tuple[Path, list[str], set[bytes]]) -> None:
    recorded = "".join(path.read_text() for path in (finished[0] / "jobs").glob("*/events.jsonl"))
    assert "Python code in tasks may run, because include_path names it" in recorded


def test_others_cannot_read_what_the_run_wrote(finished: tuple[Path, list[str], set[bytes]]) -> None:
    """The run's folder was made by the person, and the umask is 0."""
    folder, _, _ = finished
    for path in own_files(folder):
        parts = [path, *(parent for parent in path.parents if folder in parent.parents)]
        assert any(not stat.S_IMODE(part.stat().st_mode) & 0o077 for part in parts), path


def test_a_new_run_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = tmp_path / "new"
        done = faq_tui_process("init", made, "--no-input", "--no-check", "--target", "a/b", "--seeds", "starter")
        assert done.code == 0, done.err
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
