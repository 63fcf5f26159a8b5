"""Kill one run with SIGKILL at random moments and resume it each time. The server counts the repeated requests.

In addition, three of ten requests fail, with all faults for which another try can help.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.fake_server import FakeServer, Key
from tests.support.fakes.trouble import PASSING, mixed
from tests.support.shell import environment, make_run, question, rows, stored

RUN = [sys.executable, "-m", "faq_tui", "run"]
FAULTY = 0.3


@dataclass
class Outcome:
    kills: int = 0
    in_the_middle: int = 0  # kills after which some, but not all candidates were stored
    regenerated: int = 0  # stored candidates that were asked for again
    lost: int = 0  # candidates that are missing at the end
    doubled: int = 0  # candidates that are there twice
    requests: int = 0
    faults: int = 0  # of these, those that went wrong at the server
    candidates: int = 0


def killed_runs(server: FakeServer, folder: Path, kills: int, seeds: int, dice: random.Random) -> Outcome:
    """The last run is left alone and ends by itself."""
    server.behaviour = mixed(FAULTY, PASSING, words=6, thought_words=4, piece=12, pieces_per_s=60)
    source = "concurrency = 6\nretries = 12\nretry_wait_s = 0.02\nidle_timeout_s = 2"
    make_run(folder, server.url, seeds=seeds, source=source, seed_keys=f"count = {seeds}")
    subprocess.run([*RUN, str(folder), "--only", "seeds"], check=True, capture_output=True, env=environment())
    everything = {(question(s), n) for s in range(seeds) for n in range(3)}
    outcome, kept, asked = Outcome(candidates=len(everything)), set[Key](), Counter[Key]()
    for last in [False] * kills + [True]:
        process = subprocess.Popen(
            [*RUN, str(folder), "--only", "regenerate"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        if last:
            assert process.wait(900) == 0
        else:
            # Nearly all of the run is gone through by the last kill, and a new process is killed at once, too.
            goal = server.stats().finished.total() + dice.randrange(0, max(2, round(1.7 * len(everything) / kills)))
            while server.stats().finished.total() < goal and process.poll() is None:
                time.sleep(0.02)
            time.sleep(dice.random() * 0.1)
            process.send_signal(signal.SIGKILL)
            process.wait()
            outcome.kills += 1
            server.wait_for(lambda stats: stats.in_flight == 0)
        now = server.stats().asked
        outcome.regenerated += sum(now[key] != asked[key] for key in kept)
        kept, asked = stored(folder), now
        outcome.in_the_middle += 0 < len(kept) < len(everything)
    outcome.lost = len(everything - kept)
    outcome.doubled = len(rows(folder, "SELECT id FROM candidates")) - len(kept)
    outcome.requests = asked.total()
    outcome.faults = sum(server.behaviour.fault(request) in PASSING for request in server.requests)
    return outcome
