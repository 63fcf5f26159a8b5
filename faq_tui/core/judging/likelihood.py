"""`likelihood`: how probable the target itself finds a candidate. No judge server is needed.

The score is the mean log-probability (nats a token, so at most 0) of the candidate's reasoning and answer
under the target, given the question in the target's chat template; that of each alone stands beside it.
"""

from __future__ import annotations

import json
from typing import Any

from faq_tui.core.judging.rendered_candidates import spec_of, target_of, write_items
from faq_tui.core.judging.score import OnMark, Score
from faq_tui.core.run.context import Context
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys


def score_all(context: Context, items: list[tuple[Seed, Candidate]], on_mark: OnMark) -> None:
    """Mark every candidate in a worker child; each mark is handed over when it is there."""
    run = context.run
    target, template = target_of(context)
    candidates = {candidate.id: candidate for _, candidate in items}
    path = run.cache / "likelihood.jsonl"
    write_items(path, template, items, on_mark)

    def hear(message: dict[str, Any]) -> None:
        if message["kind"] == "score":
            on_mark(candidates[int(message["id"])], _mark(message))

    run_worker(
        "likelihood",
        {**spec_of(target), "items": str(path)},
        hear,
        context.cancel,
        run.log(context.job),
        without_keys(run.settings),
    )
    path.unlink(missing_ok=True)


def _mark(message: dict[str, Any]) -> Score:
    """The means over both spans, and over each that there is."""
    spans: dict[str, list[float]] = {name: span for name, span in message["spans"].items() if span[1]}
    tokens = sum(int(count) for _, count in spans.values())
    if not tokens:
        return Score(None, "no token of it could be scored", json.dumps(message))
    details: dict[str, Any] = {"tokens": tokens}
    for name, (total, count) in spans.items():
        details[name] = {"mean_logprob": round(total / count, 6), "tokens": int(count)}
    mean = sum(total for total, _ in spans.values()) / tokens
    return Score(mean, f"mean log-probability over {tokens} tokens", json.dumps(message), details)
