"""Regenerate with a real vLLM as elder: a whole run, a run whose server is restarted, and a run that is stopped.

    python benchmarks/real_vllm.py MODEL (--vllm PYTHONPATH | --python PATH) [--out FOLDER] [--seeds 256]
        [--port 8000] [--only NAME,…] [--server-options "…"] [--cuda-graphs] [--streams N] [--max-tokens N]

MODEL is the folder of a Hugging Face model. This model is both target and elder. vLLM cannot share an environment
with faq-tui: it runs with the given PYTHONPATH, or with the interpreter `--python` of an environment that has vLLM.
The context window of the server is 4,096 tokens, so that the default max_tokens of 8,192 never fits.
`--server-options` are added to vLLM's command.

All other settings are the defaults. Two options allow a short run on a CPU. `--streams` is the number of concurrent
requests. `--max-tokens` limits the length of an answer. With this option, unusable candidates are not requested
again, so every repeated request is due to a failure.

When a case ends, its line is written into `vllm.md` and `vllm.json`. These are the cases:

whole      A run to the end, in which every candidate is stored or has failed.
restart    The server is killed in the middle and started again. Only running requests may be sent again.
stop       The run gets Ctrl-C in the middle. The line shows how fast the run ends, and how many requests it aborted.
judge      The same server judges the candidates of `whole`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
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
START_S = 300.0  # longest wait until the server answers, in seconds
GRAPHS = '{"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY", "cudagraph_capture_sizes": [1, 2, 4, 8, 16, 32, 64]}'
BUSY_S = 20.0  # longest wait until the server has running requests, in seconds
COLUMNS = (
    *("case", "exit code", "s", "candidates", "usable", "failed", "requests", "requested again"),
    *("POSTs in the log", "aborted in the log", "finished by the metric", "aborted by the metric", "note"),
)


class Vllm:
    """A vLLM server on loopback, which can be killed and started again."""

    def __init__(self, options: argparse.Namespace, log: Path) -> None:
        self.url = f"http://127.0.0.1:{options.port}"
        self._options, self._log = options, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start the server and wait until it answers. Returns the seconds until the server answered."""
        began = time.monotonic()
        environment = {
            **os.environ,
            "PYTHONPATH": self._options.vllm,
            "VLLM_USE_FLASHINFER_SAMPLER": "0",  # otherwise vLLM compiles its sampler, which takes minutes
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        command = [
            *(self._options.python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self._options.model)),
            *("--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(self._options.port)),
            *("--gpu-memory-utilization", "0.4", "--max-model-len", str(WINDOW)),
            *(("--compilation-config", GRAPHS) if self._options.cuda_graphs else ("--enforce-eager",)),
            *shlex.split(self._options.server_options),
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
        """The server's metrics: the number of finished requests by finish reason, and the number of `running`
        requests."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:
            text = response.read().decode()
        found = re.findall(
            r'^vllm:request_success_total\{.*?finished_reason="(\w+)".*?\} ([\d.e+]+)$', text, re.MULTILINE
        )
        counts = {name: int(float(value)) for name, value in found}
        running = re.search(r"^vllm:num_requests_running\{.*?\} ([\d.e+]+)$", text, re.MULTILINE)
        return counts | {"running": int(float(running[1])) if running else 0}

    def busy(self) -> dict[str, int]:
        """The server's metrics while requests are running. If answers of equal length have just ended, wait for the
        next requests."""
        until = time.monotonic() + BUSY_S
        while time.monotonic() < until and not self.counts()["running"]:
            time.sleep(0.1)
        time.sleep(3)  # wait until the other requests have arrived and the metric has counted them
        return self.counts()

    def logged(self) -> dict[str, int]:
        """The requests that the server's log shows as received and as aborted, over all starts of the server."""
        text = self._log.read_text(errors="replace")
        return {
            "POSTs in the log": len(re.findall(r'"POST /v1/chat/completions HTTP/1\.1" 200', text)),
            "aborted in the log": len(re.findall(r"Request \S+ aborted", text)),
        }


def write_run(folder: Path, url: str, options: argparse.Namespace) -> Path:
    folder.mkdir(parents=True)
    source = f'base_url = "{url}/v1"\nmodel = "{NAME}"\n'
    if options.streams:
        source += f"concurrency = {options.streams}\n"
    if options.max_tokens:
        source += 'on_truncated = "drop"\non_flagged = "drop"\n'
        source += f"[sources.elder.sampling]\nmax_tokens = {options.max_tokens}\n"
    (folder / "faq.toml").write_text(
        f'[target]\nmodel = "{options.model}"\n[seeds]\npath = "starter"\ncount = {options.seeds}\nheldout = 0\n'
        f"[sources.elder]\n{source}"
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
        whole, usable, requests, again = db.execute(
            "SELECT count(*), sum(flags = '[]'), sum(requests), sum(requests > 1) FROM candidates"
        ).fetchone()
        (failed,) = db.execute("SELECT count(*) FROM failed_candidates").fetchone()
    counts = {"candidates": whole, "usable": usable or 0, "failed": failed}
    return counts | {"requests": requests or 0, "requested again": again or 0}


def answers(run: Path) -> set[tuple[object, ...]]:
    """Each stored candidate with its answer and the time at which it was stored."""
    with sqlite3.connect(f"file:{run / 'faq.db'}?mode=ro", uri=True) as db:
        return set(db.execute("SELECT seed_id, number, reasoning, answer, requests, created FROM candidates"))


def wait_for(process: subprocess.Popen[bytes], run: Path, candidates: int) -> None:
    """Wait until at least `candidates` candidates are stored, or the process ends."""
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
        self.server = Vllm(options, self.out / "vllm.log")

    def run_of(self, name: str) -> Path:
        """The folder of the run. If an earlier call began this run, the run continues."""
        folder = self.out / name
        if folder.is_dir():
            return folder
        return write_run(folder, self.server.url, self.options)

    @contextmanager
    def case(self, name: str, run: Path) -> Iterator[dict[str, Any]]:
        """Yield a dict for the figures of the case. At the end of the block, they are written as one line."""
        line: dict[str, Any] = {"case": name, "note": ""}
        began, logged = time.monotonic(), self.server.logged()
        yield line
        line |= {name: count - logged[name] for name, count in self.server.logged().items()}
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
            line |= self._by_metric(before, self.server.counts())

    def restart(self) -> None:
        run = self.run_of("restart")
        with self.case("restart", run) as line:
            before, logged = self.server.counts(), self.server.logged()
            process = started(run, "regenerate")
            wait_for(process, run, self.options.seeds)
            flying = self.server.busy()
            self.server.kill()
            time.sleep(1)  # wait until the run has stored the answers that ended before the kill
            kept = answers(run)
            received = self.server.logged()["POSTs in the log"] - logged["POSTs in the log"]
            seconds = self.server.start()
            line["exit code"] = process.wait()
            first = self._by_metric(before, flying)
            line |= {name: first[name] + count for name, count in self._by_metric({}, self.server.counts()).items()}
            line["note"] = (
                f"killed with {len(kept)} candidates stored, {received} requests received and {flying['running']} "
                f"running by the metric; the server was back after {seconds:.0f} s; "
                f"{len(kept & answers(run))} of the stored candidates are unchanged"
            )

    def stop(self) -> None:
        run = self.run_of("stop")
        with self.case("stop", run) as line:
            before = self.server.counts()
            process = started(run, "regenerate")
            wait_for(process, run, self.options.seeds // 4)
            running = self.server.busy()["running"]
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            line["exit code"] = process.wait()
            line["s"] = time.monotonic() - began
            time.sleep(2)
            after = self.server.counts()
            line |= self._by_metric(before, after)
            line["note"] = (
                f"stopped with {running} requests running by the metric; {after['running']} two seconds later"
            )

    def judge(self) -> None:
        run = self.out / "whole"
        if not run.is_dir():
            return
        with self.case("judge", run) as line:
            before = self.server.counts()
            line["exit code"] = started(run, "judge").wait()
            line |= self._by_metric(before, self.server.counts())
            with sqlite3.connect(f"file:{run / 'faq.db'}?mode=ro", uri=True) as db:
                scored, unscored = db.execute(
                    "SELECT sum(score IS NOT NULL), sum(score IS NULL) FROM scores"
                ).fetchone()
            line["note"] = f"{scored or 0} scored, {unscored or 0} unscored"

    @staticmethod
    def _by_metric(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
        new = {name: count - before.get(name, 0) for name, count in after.items() if name != "running"}
        return {"aborted by the metric": new.pop("abort", 0), "finished by the metric": sum(new.values())}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--vllm", default="", help="PYTHONPATH of vLLM")
    parser.add_argument("--python", default=sys.executable, help="interpreter of an environment that has vLLM")
    parser.add_argument("--server-options", default="", help="further options of vLLM, as one text")
    parser.add_argument(
        "--cuda-graphs", action="store_true", help="decode with CUDA graphs; default: --enforce-eager"
    )
    parser.add_argument("--streams", type=int, help="concurrent requests; default: faq-tui's")
    parser.add_argument("--max-tokens", type=int, help="longest answer; default: faq-tui's")
    parser.add_argument("--out", type=Path, default=Path("vllm"))
    parser.add_argument("--seeds", type=int, default=256)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--only", default="whole,judge,restart,stop")
    options = parser.parse_args()
    if not options.vllm and options.python == sys.executable:
        parser.error("name vLLM's environment with --vllm PYTHONPATH or --python PATH")
    options.model = options.model.resolve()
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
