"""The background load: a server with paced streams, a regeneration from this server, and a quantization.

Each part runs in a separate process, on loopback, in a temporary folder. Processes are killed only by their pid.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faq_tui.core import jobs
from faq_tui.core.run.job_record import Job

ROOT = Path(__file__).parent.parent
FAQ_TUI = [sys.executable, "-m", "faq_tui"]

STREAMS = 64
TOKENS_PER_S = 100  # tokens per second of each stream
PIECES_PER_S, TOKENS_PER_PIECE, CHARACTERS_PER_TOKEN = 10, 10, 5
ANSWER_WORDS, THOUGHT_WORDS = 1100, 400  # about 2,000 tokens: a stream lasts 20 s
SEEDS = 2000

REGENERATION = """
[target]
model = "nobody/knows-it"
[seeds]
path = "seeds.jsonl"
count = {seeds}
heldout = 0
[sources.elder]
base_url = "{url}"
model = "fake-8b"
concurrency = {streams}
candidates = {candidates}
on_flagged = "drop"
"""

QUANTIZATION = """
[target]
model = "target"
[seeds]
path = "seeds.jsonl"
count = 128
heldout = 2
[assemble]
max_tokens = 256
[[recipes]]
method = "gptq"
bits = 4
group_size = 64
"""

MAKE_TARGET = (
    "import sys, pathlib; from tests.support import tiny; "
    "tiny.make_tiny_model(pathlib.Path(sys.argv[1]), hidden=256, layers={layers})"
)


def environment(home: Path) -> dict[str, str]:
    """The environment of this process without user settings and without network access."""
    dropped = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TMUX", "SSH_TTY", "SSH_CONNECTION")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    places = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "CACHE", "STATE", "DATA")}
    return {**kept, **offline, **places}


def question(number: int) -> str:
    return f"Question {number}: which of the {number + 3} boxes is heavier?"


def write_seeds(path: Path, count: int) -> None:
    rows = ({"id": f"q{n}", "question": question(n), "answer": f"Box {n}."} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """A server in a separate process. Yields the URL that the server prints first."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@contextmanager
def server() -> Iterator[str]:
    """The fake server in a separate process. Yields its URL."""
    options = {
        "--pieces-per-s": PIECES_PER_S,
        "--piece": TOKENS_PER_PIECE * CHARACTERS_PER_TOKEN,
        "--tokens-per-piece": TOKENS_PER_PIECE,
        "--words": ANSWER_WORDS,
        "--thought-words": THOUGHT_WORDS,
        "--spread": 0.3,
    }
    command = [sys.executable, "-m", "tests.support.fake_server"]
    command += [str(part) for option in options.items() for part in option]
    with serving(command) as url:
        yield url


@contextmanager
def regeneration(folder: Path, url: str) -> Iterator[Job]:
    """A job as the app starts it. Yields the job when all streams are open.

    The job keeps running between measurements and is killed at the end.
    """
    folder.mkdir()
    (folder / "faq.toml").write_text(REGENERATION.format(url=url, streams=STREAMS, seeds=SEEDS, candidates=3))
    write_seeds(folder / "seeds.jsonl", SEEDS)
    job = jobs.start(folder, until="regenerate")
    try:
        deadline = time.monotonic() + 60
        while not job.events.exists() or job.events.read_text().count('"CandidateStarted"') < STREAMS:
            if time.monotonic() > deadline or jobs.state(job) != "running":
                raise RuntimeError(f"the regeneration did not begin: see {job.log}")
            time.sleep(0.1)
        yield job
    finally:
        while jobs.kill(job):
            time.sleep(0.05)


def streamed_tokens(job: Job, begin: float, end: float) -> float:
    """The tokens that the job read between two times (unix seconds), counted from its deltas."""
    characters = 0
    with job.events.open() as file:
        for line in file:
            if line.startswith('{"event": "CandidateDelta"') and line.endswith("\n"):
                event = json.loads(line)
                if begin <= event["time"] < end:
                    characters += len(event["reasoning"]) + len(event["answer"])
    return characters / CHARACTERS_PER_TOKEN


class Quantization:
    """Runs `faq-tui run` on a small random model, and starts the command again whenever it has finished."""

    def __init__(self, folder: Path, env: dict[str, str], layers: int) -> None:
        self.folder, self._env = folder, {**env, "OMP_WAIT_POLICY": "passive"}
        self._layers = layers
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_going, name="quantization")

    def __enter__(self) -> Quantization:
        self.folder.mkdir()
        path = f"{ROOT}{os.pathsep}{self._env.get('PYTHONPATH', '')}"
        make = [sys.executable, "-c", MAKE_TARGET.format(layers=self._layers), str(self.folder / "target")]
        with (self.folder / "made.log").open("wb") as log:
            subprocess.run(make, env={**self._env, "PYTHONPATH": path}, check=True, stdout=log, stderr=log)
            (self.folder / "faq.toml").write_text(QUANTIZATION)
            write_seeds(self.folder / "seeds.jsonl", 140)
            prepare = [*FAQ_TUI, "run", str(self.folder), "--until", "activations"]
            subprocess.run(prepare, env=self._env, check=True, stdout=log, stderr=log)
        self._thread.start()
        deadline = time.monotonic() + 120
        while self.layers_done() == 0:
            if time.monotonic() > deadline or not self._thread.is_alive():
                self.__exit__()
                raise RuntimeError(f"the quantization did not begin: see {self.folder}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if (process := self._process) is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # the command stops its worker
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
        self._thread.join()

    def layers_done(self) -> int:
        return sum(path.read_text().count('"LayerDone"') for path in self.folder.glob("jobs/*/events.jsonl"))

    def _keep_going(self) -> None:
        while not self._ended.is_set():
            with (self.folder / "run.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*FAQ_TUI, "run", str(self.folder), "--only", "quantize"],
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                if self._process.wait() != 0:
                    return
            shutil.rmtree(self.folder / "models", ignore_errors=True)
