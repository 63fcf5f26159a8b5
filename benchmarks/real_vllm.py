"""Regenerate with a real vLLM as elder: a whole run, a run whose server is restarted, and a run that is stopped.

    python benchmarks/real_vllm.py MODEL --vllm PYTHONPATH [--out FOLDER] [--seeds 256] [--port 8000] [--only NAME,…]

MODEL is a folder of a Hugging Face model, which is the target and the elder. vLLM runs with PYTHONPATH, because it
cannot share an environment with faq-tui. Its window is 4,096 tokens, so that the default max_tokens of 8,192 never
fits. All other settings are the defaults. Each case writes its line into `vllm.md` and `vllm.json` when it ends:

whole      a run to the end: every candidate is settled
restart    the server is killed in the middle and started again: only the streams in flight are requested again
stop       the run gets Ctrl-C in the middle: how fast it ends, and how many requests the server counts as aborted
judge      the same server judges the candidates of `whole`
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from machine import about, table

WINDOW = 4096
NAME = "elder"
START_S = 300.0  # longest wait for the server
COLUMNS = (
    *("case", "exit code", "s", "candidates", "usable", "failed", "requests", "finished at the server"),
    *("aborted at the server", "note"),
)


class Vllm:
    """A vLLM server on loopback, which can be killed and started again."""

    def __init__(self, model: Path, port: int, python_path: str, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._model, self._port, self._path, self._log = model, port, python_path, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start the server and wait until it answers. Returns the seconds that this took."""
        began = time.monotonic()
        environment = {
            **os.environ,
            "PYTHONPATH": self._path,
            "VLLM_USE_FLASHINFER_SAMPLER": "0",  # otherwise it compiles its sampler for minutes
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        command = [
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self._model)),
            *("--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(self._port)),
            *("--gpu-memory-utilization", "0.4", "--max-model-len", str(WINDOW), "--enforce-eager"),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        while time.monotonic() - began < START_S:
            if self._process.poll() is not None:
                break
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/v1/models", timeout=5):
                return time.monotonic() - began
            time.sleep(0.5)
        self.kill()
        raise SystemExit(f"vLLM did not start; the end of its log:\n{self._log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """End the server and its processes at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def counts(self) -> dict[str, int]:
        """Requests by their finish reason since the start, and `running`, from the server's metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:
            text = response.read().decode()
        found = re.findall(
            r'^vllm:request_success_total\{.*?finished_reason="(\w+)".*?\} ([\d.e+]+)$', text, re.MULTILINE
        )
        counts = {name: int(float(value)) for name, value in found}
        running = re.search(r"^vllm:num_requests_running\{.*?\} ([\d.e+]+)$", text, re.MULTILINE)
        return counts | {"running": int(float(running[1])) if running else 0}


def write_run(folder: Path, model: Path, url: str, seeds: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "faq.toml").write_text(
        f'[target]\nmodel = "{model}"\n[seeds]\npath = "starter"\ncount = {seeds}\nheldout = 0\n'
        f'[sources.elder]\nbase_url = "{url}/v1"\nmodel = "{NAME}"\n'
        f'[judge]\nkind = "llm"\nbase_url = "{url}/v1"\nmodel = "{NAME}"\n',
        encoding="utf-8",
    )
    return folder


def started(run: Path, until: str) -> subprocess.Popen[bytes]:
    log = (run.parent / f"{run.name}.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "faq_tui", "run", str(run), "--until", until], stdout=log, stderr=subprocess.STDOUT
    )


def stored(run: Path) -> dict[str, int]:
    """Numbers from the run's database."""
    with sqlite3.connect(f"file:{run / 'faq.db'}?mode=ro", uri=True) as db:
        whole, usable, requests = db.execute(
            "SELECT count(*), sum(flags = '[]'), sum(requests) FROM candidates"
        ).fetchone()
        (failed,) = db.execute("SELECT count(*) FROM failed_candidates").fetchone()
    return {"candidates": whole, "usable": usable or 0, "failed": failed, "requests": requests or 0}


def wait_for(process: subprocess.Popen[bytes], run: Path, candidates: int) -> None:
    """Wait until so many candidates are stored, or the process ends."""
    while process.poll() is None:
        with suppress(sqlite3.Error):
            if stored(run)["candidates"] >= candidates:
                return
        time.sleep(0.1)


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.lines = options, list[dict[str, Any]]()
        self.out: Path = options.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.server = Vllm(options.model, options.port, options.vllm, self.out / "vllm.log")

    def run_of(self, name: str) -> Path:
        return write_run(self.out / name, self.options.model.resolve(), self.server.url, self.options.seeds)

    @contextmanager
    def case(self, name: str, run: Path) -> Iterator[dict[str, Any]]:
        """Fill the line that is yielded; it is written at the end of the block."""
        line: dict[str, Any] = {"case": name, "note": ""}
        began = time.monotonic()
        yield line
        line = {**line, **stored(run), "s": round(line.get("s", time.monotonic() - began), 1)}
        self.lines.append(line)
        (self.out / "vllm.json").write_text(json.dumps(self.lines, indent=1) + "\n", encoding="utf-8")
        rows = [[str(one.get(column, "–")) for column in COLUMNS] for one in self.lines]
        text = f"{about('torch', 'openai', 'aiohttp')}\n\n{table(COLUMNS, rows)}\n"
        (self.out / "vllm.md").write_text(text, encoding="utf-8")
        print(rows[-1], flush=True)

    def whole(self) -> None:
        run = self.run_of("whole")
        with self.case("whole", run) as line:
            before = self.server.counts()
            line["exit code"] = started(run, "regenerate").wait()
            line |= self._at_the_server(before, self.server.counts())

    def restart(self) -> None:
        run = self.run_of("restart")
        with self.case("restart", run) as line:
            process = started(run, "regenerate")
            wait_for(process, run, self.options.seeds)
            flying, kept = self.server.counts(), stored(run)["candidates"]
            self.server.kill()
            seconds = self.server.start()
            line["exit code"] = process.wait()
            line |= self._at_the_server({}, self.server.counts())
            line["note"] = (
                f"killed with {kept} candidates stored and {flying['running']} requests running; "
                f"the server was back after {seconds:.0f} s"
            )

    def stop(self) -> None:
        run = self.run_of("stop")
        with self.case("stop", run) as line:
            before = self.server.counts()
            process = started(run, "regenerate")
            wait_for(process, run, self.options.seeds // 4)
            running = self.server.counts()["running"]
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            line["exit code"] = process.wait()
            line["s"] = time.monotonic() - began
            time.sleep(2)
            after = self.server.counts()
            line |= self._at_the_server(before, after)
            line["note"] = f"stopped with {running} requests running; {after['running']} two seconds later"

    def judge(self) -> None:
        run = self.out / "whole"
        if not run.is_dir():
            return
        with self.case("judge", run) as line:
            before = self.server.counts()
            line["exit code"] = started(run, "judge").wait()
            line |= self._at_the_server(before, self.server.counts())
            with sqlite3.connect(f"file:{run / 'faq.db'}?mode=ro", uri=True) as db:
                scored, unscored = db.execute(
                    "SELECT sum(score IS NOT NULL), sum(score IS NULL) FROM scores"
                ).fetchone()
            line["note"] = f"{scored or 0} scored, {unscored or 0} unscored"

    @staticmethod
    def _at_the_server(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
        new = {name: count - before.get(name, 0) for name, count in after.items() if name != "running"}
        return {"aborted at the server": new.pop("abort", 0), "finished at the server": sum(new.values())}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--vllm", required=True, help="PYTHONPATH of vLLM")
    parser.add_argument("--out", type=Path, default=Path("vllm"))
    parser.add_argument("--seeds", type=int, default=256)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--only", default="whole,judge,restart,stop")
    options = parser.parse_args()
    bench = Bench(options)
    cases: dict[str, Callable[[], None]] = {
        "whole": bench.whole,
        "judge": bench.judge,
        "restart": bench.restart,
        "stop": bench.stop,
    }
    print(f"vLLM answers after {bench.server.start():.0f} s", flush=True)
    try:
        for name in options.only.split(","):
            cases[name]()
    finally:
        bench.server.kill()
    print((bench.out / "vllm.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
