"""Kill whole runs with SIGKILL at random moments in every stage, and compare what they end with.

    python benchmarks/reliability/kills.py [--kills 200] [--seed 0] [--seconds 3600] [--begin evaluate] [--out FILE]

A run has a tiny random target, an elder and an LLM judge on a local server, two calibration sets, activations, one
artefact of gptq, spqr and w8a8 each, and the evaluation. An attempt is killed in the first stage that is not
finished, after a random part of the time that this stage takes. Each kill hits the command (`parent`), one of the
processes that it started (`child`), or all of them (`both`). After each kill the program checks that:

- no process of the run is left; after the death of a child, the command ends by itself,
- the database passes SQLite's integrity check, `status` can read the run, and no finished row is lost,
- the next attempt does not ask the server for a candidate or a judge's reply that was stored.

When an attempt ends by itself, its files and rows are compared with those of an undisturbed run, and a new run begins
(`run_contents.py` says what is compared). The exit status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from killing import PATIENCE_S, WHO, Outcome, begun, check, events, start, strike, undisturbed  # noqa: E402
from machine import about, load, publish, table  # noqa: E402
from run_contents import contents  # noqa: E402

from tests.support.fake_server import Asked, Behaviour, FakeServer  # noqa: E402
from tests.support.judge_bench import is_judge, judging, marks  # noqa: E402
from tests.support.shell import write_seeds  # noqa: E402
from tests.support.tiny import make_tiny_model  # noqa: E402

STAGES = ("seeds", "regenerate", "judge", "assemble", "activations", "quantize", "evaluate", "report")
# the tables and folders that a late stage fills
MADE_BY: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "activations": (("activations",), ("activations",)),
    "quantize": (("artefacts",), ("models",)),
    "evaluate": (("measurements", "heldout_answers", "layer_errors"), ("reports",)),
    "report": ((), ()),
}
SPREAD = 1.6  # a kill comes at most this many times the stage's undisturbed duration after its begin
SEEDS = 12
SETTINGS = """
[target]
model = "target"
[seeds]
path = "seeds.jsonl"
count = 10
heldout = 2
[sources.elder]
base_url = "{url}"
model = "fake-8b"
candidates = 2
concurrency = 3
[judge]
kind = "llm"
base_url = "{url}"
model = "judge-72b"
concurrency = 3
probe = 0
[assemble]
max_tokens = 96
[[recipes]]
method = "gptq"
engine = "walk"
group_size = 64
sets = ["elder"]
[[recipes]]
method = "spqr"
group_size = 64
sets = ["elder"]
[[recipes]]
method = "w8a8"
sets = ["elder"]
[quantize]
checkpoint_s = 0
[evaluate]
perplexity = ["prose.txt"]
window = 32
prose_tokens = 128
answer_tokens = 4
last_word = []
multiple_choice = []
"""


def make(folder: Path, model: Path, url: str) -> Path:
    folder.mkdir()
    shutil.copytree(model, folder / "target")
    write_seeds(folder / "seeds.jsonl", SEEDS)
    prose = "".join(f"The {n}th line of the prose weighs the boxes of question {n * 7}.\n" for n in range(60))
    (folder / "prose.txt").write_text(prose)
    (folder / "faq.toml").write_text(SETTINGS.format(url=url))
    return folder


def attempt(
    folder: Path, lasts: dict[str, float], dice: random.Random, who: str, outcome: Outcome
) -> tuple[int | None, str]:
    """One command. Returns its exit status, or None if it was killed, and the stage in which it was killed."""
    mark, known = uuid.uuid4().hex, set((folder / "jobs").glob("*"))
    process = start(folder, mark)
    deadline = time.monotonic() + PATIENCE_S
    before_all = dice.random() < 0.05  # a few kills come before the first stage
    while not before_all and process.poll() is None and not (stage := begun(events(folder, known))):
        assert time.monotonic() < deadline, "no stage began"
        time.sleep(0.02)
    if before_all:
        time.sleep(dice.uniform(0, 2.0))
    elif process.poll() is None:
        until = time.monotonic() + dice.uniform(0, SPREAD * lasts[stage])
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.01)
    if process.poll() is not None:
        outcome.ended_first += 1
        return process.returncode, ""
    at = begun(events(folder, known)) or "before"
    return strike(process, folder, mark, who, at, dice, outcome), at


def durations(folder: Path) -> dict[str, float]:
    """The seconds of each stage of an undisturbed run."""
    done = [event for event in events(folder, set()) if event["event"] == "StageDone"]
    return {stage: max(0.2, next(e["seconds"] for e in done if e["stage"] == stage)) for stage in STAGES}


def repeated(server: FakeServer, kept: set[tuple[str, int]], asked: Counter[Any]) -> int:
    now = server.stats().asked
    return sum(now[key] > asked[key] for key in kept)


def kept_keys(folder: Path, server: FakeServer) -> set[tuple[str, int]]:
    """What the server was asked for each stored candidate, and for each stored reply of the judge."""
    if not (folder / "faq.db").exists():
        return set()
    with closing(sqlite3.connect(folder / "faq.db")) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'judge_replies'").fetchone():
            return set()
        query = "SELECT s.messages, c.sampling_seed FROM candidates c JOIN seeds s ON s.id = c.seed_id"
        found = {(json.loads(messages)[-1]["content"], int(number or 0)) for messages, number in db.execute(query)}
        raws = {raw for (raw,) in db.execute("SELECT raw FROM judge_replies WHERE error = ''")}
    # A judge's prompt is not stored, so it is found by its reply.
    return found | {(a.question, a.number) for a in list(server.requests) if is_judge(a) and judged(a) in raws}


def judged(asked: Asked) -> str:
    """Scores that depend only on the text of an answer, and on the prompt through the reason."""
    reason = f"reply {hashlib.sha256(asked.question.encode()).hexdigest()[:12]}"
    return marks(asked, lambda text, _place: 1 + int(hashlib.sha256(text.encode()).hexdigest(), 16) % 9, reason)


def behaviour_of(pieces_per_s: float) -> Behaviour:
    return judging(judged, pieces_per_s=pieces_per_s)


def without(undisturbed: Path, folder: Path, stage: str) -> Path:
    """A copy of a finished run that has everything to do from `stage` on. It makes late stages quick to reach."""
    shutil.copytree(undisturbed, folder)
    later = STAGES[STAGES.index(stage) :]
    with closing(sqlite3.connect(folder / "faq.db", isolation_level=None)) as db:
        for one in later:
            db.execute("DELETE FROM stages WHERE stage = ?", (one,))
            for name in MADE_BY.get(one, ((), ()))[0]:
                db.execute(f"DELETE FROM {name}")
    for one in later:
        for name in MADE_BY.get(one, ((), ()))[1]:
            shutil.rmtree(folder / name, ignore_errors=True)
    return folder


def one_run(
    folder: Path,
    server: FakeServer,
    lasts: dict[str, float],
    dice: random.Random,
    outcome: Outcome,
    is_enough: Callable[[], bool],
) -> None:
    """Kill one run until it ends by itself. Once there were enough kills, the run is left alone."""
    before: dict[str, set[str]] = {}
    kept, asked = set[tuple[str, int]](), Counter[Any](server.stats().asked)
    while True:
        who = dice.choice(WHO)
        code, at = None, ""
        if is_enough():
            code = start(folder, uuid.uuid4().hex).wait(PATIENCE_S)
        else:
            code, at = attempt(folder, lasts, dice, who, outcome)
        server.wait_for(lambda stats: stats.in_flight == 0)
        outcome.asked_twice += (again := repeated(server, kept, asked))
        if again:
            print(f"{again} stored answers were requested again before the kill in {at}", file=sys.stderr)
        before = check(folder, before, outcome, at)
        kept, asked = kept_keys(folder, server), Counter(server.stats().asked)
        print(f"{outcome.kills.total()} kills, the last in {at or 'no stage'}", file=sys.stderr, flush=True)
        if code is not None:
            assert code == 0, (folder / "stderr.txt").read_text(errors="replace")[-2000:]
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="no new kill after this time")
    parser.add_argument("--begin", choices=MADE_BY, help="begin with runs that are finished before this stage")
    parser.add_argument("--keep", type=Path, help="folder for the undisturbed run, which a later call uses again")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began, loaded, outcome, dice = time.monotonic(), load(), Outcome(), random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="faq-tui-kills-") as name, ExitStack() as stack:
        work, kept = Path(name), options.keep or Path(name)
        first, port = kept / "undisturbed", kept / "port.txt"  # the address of the server is a part of the settings
        is_known = port.exists()
        server = stack.enter_context(FakeServer(behaviour_of(60), int(port.read_text()) if is_known else 0))
        if not is_known:
            kept.mkdir(exist_ok=True)
            make_tiny_model(kept / "model")
            undisturbed(make(first, kept / "model", server.url))
            port.write_text(str(server.port))
        lasts, expected = durations(first), contents(first)
        print(f"an undisturbed run: {len(expected)} parts, seconds by stage: {lasts}", file=sys.stderr, flush=True)

        def is_enough() -> bool:
            return bool(outcome.kills.total() >= options.kills or time.monotonic() - began > options.seconds)

        while not is_enough():
            folder = work / f"run-{outcome.runs}"
            if options.begin is None:
                make(folder, kept / "model", server.url)
            else:
                without(first, folder, options.begin)
            one_run(folder, server, lasts, dice, outcome, is_enough)
            outcome.runs += 1
            made = contents(folder)
            outcome.equal += made == expected
            for part in sorted(made.keys() | expected.keys()):
                if made.get(part) != expected.get(part):
                    print(f"run {outcome.runs}: {part} differs", file=sys.stderr)
            print(
                f"{time.monotonic() - began:.0f} s: {outcome.kills.total()} kills, {outcome.runs} runs, "
                f"{outcome.equal} equal",
                file=sys.stderr,
                flush=True,
            )
            shutil.rmtree(folder)
    places = ("before", *STAGES)
    rows = [[stage, *(str(outcome.kills[stage, who]) for who in WHO)] for stage in places]
    rows.append(["together", *(str(sum(outcome.kills[stage, who] for stage in places)) for who in WHO)])
    figures = (
        f"{outcome.kills.total()} kills, {outcome.runs} runs to the end, {outcome.equal} of them equal to the "
        f"undisturbed run in all {len(expected)} parts. Stored answers requested again: {outcome.asked_twice}. Rows "
        f"lost: {outcome.lost}. Processes left: {outcome.orphans}. Databases or `status` that failed: "
        f"{outcome.unreadable}. Commands without a sentence after the death of a child: {outcome.bad_ends}."
    )
    note = f"seed {options.seed}; load {loaded:.1f} before, {load():.1f} after; {time.monotonic() - began:.0f} s"
    body = f"{table(['killed in', *WHO], rows)}\n\n{figures}\n\n{note}"
    publish("Runs killed at random moments", about("faq-tui", "torch"), body, options.out)
    sys.exit(outcome.failed)


if __name__ == "__main__":
    main()
