"""An OpenAI-compatible chat server on loopback. It can imitate faults, and it counts requests.

In a test, use `with FakeServer() as server: server.behaviour = Behaviour(dialect="inline")`. On the command line,
`python -m tests.support.fake_server` serves until Ctrl-C, and `--help` lists the options. In a separate process, the
server continues after a `kill -9` of its client. `GET /stats` returns, for each (question, sampling seed), the number
of requests and the number of complete answers.
"""

from __future__ import annotations

import argparse
import threading

from tests.support.fakes.behaviour import PIECE, Asked, Behaviour, Dialect, Fault, Key, answer_of, reasoning_of
from tests.support.fakes.server import FakeServer, Stats

__all__ = ["Asked", "Behaviour", "Dialect", "FakeServer", "Fault", "Key", "Stats", "answer_of", "reasoning_of"]


def _behaviour_asked_for() -> Behaviour:
    parser = argparse.ArgumentParser(description="Serves on a free port of loopback until it is killed.")
    parser.add_argument("--pieces-per-s", type=float, default=20, help="of each stream (default %(default)s)")
    parser.add_argument("--piece", type=int, default=PIECE, help="characters of a piece (default %(default)s)")
    parser.add_argument("--tokens-per-piece", type=int, default=1)
    parser.add_argument("--words", type=int, default=12, help="of an answer (default %(default)s)")
    parser.add_argument("--thought-words", type=int, default=9, help="of the reasoning (default %(default)s)")
    parser.add_argument("--spread", type=float, default=0.0, help="share by which lengths differ (default 0)")
    return Behaviour(**vars(parser.parse_args()))


if __name__ == "__main__":
    with FakeServer(_behaviour_asked_for()) as running:
        print(running.url, flush=True)
        threading.Event().wait()
