"""Kill runs with SIGKILL while the stage `activations` loads its target, and compare what they end with.

    python benchmarks/reliability/kills_while_loading.py [--kills 10] [--seed 0] [--out FILE]

`kills.py` hits this moment hardly ever, because its target is loaded within milliseconds. Here the target has 0.3 GB.
Each kill comes after a random part of the time that loading takes, and hits the command, one of its processes, or
all of them. A kill counts only if the load had not ended. After each kill, the program makes the checks of
`kills.py`, resumes the run, and compares it with an undisturbed one. The exit status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from killing import PATIENCE_S, WHO, Outcome, begun, check, events, start, strike, undisturbed  # noqa: E402
from kills import behaviour_of, make, without  # noqa: E402
from machine import about, load, publish, table  # noqa: E402
from run_contents import contents, rows_of  # noqa: E402

from tests.support.fake_server import FakeServer  # noqa: E402
from tests.support.tiny import make_tiny_model  # noqa: E402

STAGE = "activations"
UNTIL = ("--until", STAGE)
STEP = "loading a model"
SETTINGS = (
    '[activations]\nsamples = 1\ntokens = 16\nmodules = ["mlp.down_proj"]\n'  # so that loading is most of the stage
)
MOST_MISSES = 20


def loads(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reports on the load in the stage activations, the oldest first."""
    first = next((n for n, event in enumerate(found) if begun([event]) == STAGE), len(found))
    return [event for event in found[first:] if event["event"] == "Preparing" and event["what"] == STEP]


def is_loading(found: list[dict[str, Any]]) -> bool:
    reports = loads(found)
    return bool(reports) and not reports[-1]["ended"]


def lasts(found: list[dict[str, Any]]) -> float:
    """How many seconds a finished load took."""
    reports = loads(found)
    return float(reports[-1]["time"] - reports[0]["time"])


def killed(folder: Path, seconds: float, who: str, dice: random.Random, outcome: Outcome) -> bool:
    """Kill the run while the target is loaded. Returns False if the load, or the command, ended before the kill."""
    mark, known = uuid.uuid4().hex, set((folder / "jobs").glob("*"))
    process = start(folder, mark, *UNTIL)
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and not is_loading(events(folder, known)):
        assert time.monotonic() < deadline, "the target is not loaded"
        time.sleep(0.005)
    time.sleep(dice.uniform(0, seconds))
    if process.poll() is None and is_loading(events(folder, known)):
        code = strike(process, folder, mark, who, STAGE, dice, outcome)
        return code is None and is_loading(events(folder, known))
    process.wait(PATIENCE_S)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    loaded, outcome, dice, hits = load(), Outcome(), random.Random(options.seed), dict.fromkeys(WHO, 0)
    ends: list[str] = []  # the last line of the command after the death of a child
    with tempfile.TemporaryDirectory(prefix="faq-tui-kills-") as name, FakeServer(behaviour_of(60)) as server:
        work = Path(name)
        make_tiny_model(work / "model", hidden=1024, layers=8, intermediate=4096)
        first = make(work / "undisturbed", work / "model", server.url)
        with (first / "faq.toml").open("a") as file:
            file.write(SETTINGS)
        undisturbed(first, *UNTIL)
        expected, times = contents(first), [lasts(events(first, set()))]
        print(f"{len(expected)} parts; loading took {times[0]:.2f} s", file=sys.stderr, flush=True)
        while sum(hits.values()) < options.kills and outcome.ended_first < MOST_MISSES:
            started = time.monotonic()
            folder = without(first, work / f"run-{outcome.runs}", STAGE)
            who, before = WHO[sum(hits.values()) % len(WHO)], rows_of(folder)
            known = set((folder / "jobs").glob("*"))
            hit = killed(folder, min(times), who, dice, outcome)
            hits[who] += hit
            outcome.ended_first += not hit
            if hit and who == "child":
                ends.append((folder / "stderr.txt").read_text(errors="replace").strip().splitlines()[-1])
            check(folder, before, outcome, STAGE)
            if not hit:
                times.append(lasts(events(folder, known)))
            began = time.monotonic()
            assert start(folder, uuid.uuid4().hex, *UNTIL).wait(PATIENCE_S) == 0, (folder / "stderr.txt").read_text()
            outcome.runs += 1
            outcome.equal += contents(folder) == expected
            took = f"{time.monotonic() - started:.1f} s, resumed in {time.monotonic() - began:.1f} s"
            print(f"{who}: {'hit' if hit else 'too late'}, {took}", file=sys.stderr, flush=True)
            shutil.rmtree(folder)
    figures = (
        f"Loading took {min(times):.2f} to {max(times):.2f} s. {outcome.ended_first} further attempts had loaded the "
        f"target before the kill. {outcome.runs} runs were resumed to the end of `{STAGE}`, {outcome.equal} of them "
        f"equal to the undisturbed run in all {len(expected)} parts. Rows lost: {outcome.lost}. Processes left: "
        f"{outcome.orphans}. Databases or `status` that failed: {outcome.unreadable}. Commands without a sentence "
        f"after the death of a child: {outcome.bad_ends}."
    )
    said = "\n".join(f"- {line}" for line in dict.fromkeys(ends))
    body = f"{table(['killed', 'kills'], [[who, str(count)] for who, count in hits.items()])}\n\n{figures}\n\n"
    body += f"The command's last line after the death of a child:\n\n{said}\n\n" if said else ""
    body += f"seed {options.seed}; load {loaded:.1f} before, {load():.1f} after"
    publish("Runs killed while the target is loaded", about("faq-tui", "torch"), body, options.out)
    sys.exit(outcome.failed or sum(hits.values()) < options.kills)


if __name__ == "__main__":
    main()
