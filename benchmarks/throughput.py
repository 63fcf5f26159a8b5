"""Run one client after another on the paced server with the same requests. The server measures time and tokens."""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from machine import table
from paced_server import length_of
from workload import FAQ_TUI, REGENERATION, ROOT, environment, question, serving, write_seeds

from faq_tui.core.settings import Sampling

TOKENS, PER_SECOND = 500, 100.0
ANSWERS = 5  # approximate seconds of each stream
CANDIDATES = 3
BARE = "bare aiohttp"


@dataclass(frozen=True)
class Measured:
    """Seconds from the first request to the end of the last answer, measured by the server."""

    tokens_per_s: float
    cpu_per_million: float  # CPU seconds of the client


def paced(tokens: int, per_second: float) -> AbstractContextManager[str]:
    return serving([sys.executable, str(ROOT / "benchmarks/paced_server.py"), str(tokens), str(per_second)])


@contextmanager
def regenerating(
    folder: Path, url: str, at_once: int, seeds: int, candidates: int = CANDIDATES
) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    text = REGENERATION.format(url=url, streams=at_once, seeds=seeds, candidates=candidates)
    (folder / "faq.toml").write_text(text)
    write_seeds(folder / "seeds.jsonl", seeds)
    env = environment(folder)
    subprocess.run([*FAQ_TUI, "run", str(folder), "--only", "seeds"], env=env, check=True, capture_output=True)
    command = [*FAQ_TUI, "run", str(folder), "--only", "regenerate"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def throughput(streams: list[int], rounds: int, others: Mapping[str, str], say: Callable[[str], None]) -> str:
    """Measure all clients. `others` maps the name of each further client to the Python that runs it."""
    rows = []
    with paced(TOKENS, PER_SECOND) as url, tempfile.TemporaryDirectory() as place:
        for at_once in streams:
            seeds = max(2, round(ANSWERS * at_once / CANDIDATES))
            bodies = Path(place) / "bodies.json"
            bodies.write_text(json.dumps([_body(n, i) for n in range(seeds) for i in range(CANDIDATES)]))
            found: dict[str, list[Measured]] = {}
            for number in range(rounds):
                folder = Path(place) / f"run-{at_once}-{number}"
                clients = {
                    BARE: _script(sys.executable, "bare", url, at_once, bodies),
                    "faq-tui": regenerating(folder, url, at_once, seeds),
                    **{name: _script(python, name, url, at_once, bodies) for name, python in others.items()},
                }
                for name, client in clients.items():
                    found.setdefault(name, []).append(_measure(url, client, seeds * CANDIDATES))
                    say(f"{at_once} streams, {name}: {found[name][-1]}")
            best = ideal(at_once, [length_of(question(n), TOKENS) for n in range(seeds) for _ in range(CANDIDATES)])
            rows += [_row(at_once, name, results, found[BARE], best) for name, results in found.items()]
    head = ["streams", "client", "tokens/s", "of the ideal", "of the minimal client's", "CPU s per million tokens"]
    return table(head, rows)


def _row(at_once: int, name: str, results: list[Measured], bare: list[Measured], best: float) -> list[str]:
    ratios = sorted(r.tokens_per_s / b.tokens_per_s for r, b in zip(results, bare, strict=True))
    speed, cpu = median(r.tokens_per_s for r in results), median(r.cpu_per_million for r in results)
    span = f"{median(ratios):.3f} ({ratios[0]:.3f}–{ratios[-1]:.3f})"
    return [str(at_once), name, f"{speed:,.0f}", f"{speed / best:.3f}", span, f"{cpu:.1f}"]


def ideal(at_once: int, lengths: list[int]) -> float:
    """Tokens per second of an ideal client. This client has no overhead and starts each next request at once."""
    free = [0.0] * at_once
    for tokens in lengths:
        heapq.heappush(free, heapq.heappop(free) + tokens / PER_SECOND)
    return sum(lengths) / max(free)


def _body(number: int, candidate: int) -> dict[str, Any]:
    """The request that faq-tui sends."""
    sampling = Sampling().model_dump()
    return {
        "model": "fake-8b",
        "messages": [{"role": "user", "content": question(number)}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{**sampling, "seed": candidate},
        "chat_template_kwargs": {"enable_thinking": True},
    }


@contextmanager
def _script(python: str, name: str, url: str, at_once: int, bodies: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [python, str(ROOT / f"benchmarks/{name}_client.py"), url, str(at_once), str(bodies)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _measure(url: str, client: AbstractContextManager[subprocess.Popen[bytes]], answers: int) -> Measured:
    spent: list[tuple[float, float]] = []  # (unix seconds, processor seconds so far)
    _get(url, "begin")
    with client as process:
        watch = threading.Thread(target=_watch, args=(process, spent))
        watch.start()
        if (code := process.wait(900)) != 0:
            raise RuntimeError(f"the client ended with exit code {code}")
        watch.join()
    found = _get(url, "count")
    if found["answers"] != answers:
        raise RuntimeError(f"the clients read {found['answers']} answers instead of {answers}")
    before = next(cpu for at, cpu in reversed(spent) if at <= found["first"])
    used = next((cpu for at, cpu in spent if at >= found["last"]), spent[-1][1]) - before
    seconds = found["last"] - found["first"]
    return Measured(found["tokens"] / seconds, used / found["tokens"] * 1e6)


def _watch(process: subprocess.Popen[bytes], spent: list[tuple[float, float]]) -> None:
    try:
        used = psutil.Process(process.pid)
        while process.poll() is None:
            spent.append((time.time(), sum(used.cpu_times()[:2])))
            time.sleep(0.05)
    except psutil.Error:
        pass  # the process has ended


def _get(url: str, path: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url.removesuffix('/v1')}/{path}", timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    return found
