"""The judge `likelihood`: it measures how probable the target itself finds a candidate. It needs no server.

The score is a mean log-probability in nats per token, at most 0. The mean is over the tokens of the candidate's
reasoning and answer. The target gets the question before the candidate; both are written in the target's chat
template. The means over the reasoning alone and over the answer alone are stored, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.hashing import digest
from faq_tui.core.judging.judges.base import Score
from faq_tui.core.judging.judges.target_judge import TargetJudge
from faq_tui.core.models.target import fingerprint
from faq_tui.core.run.run import Run


class LikelihoodJudge(TargetJudge):
    name = "likelihood"
    title = "probability under the target"
    help = "Scores a candidate by its mean log-probability under the target; no judge server is needed."
    measures = "how probable the target itself finds an answer"
    short = "lik"
    version = "likelihood-2"
    task = "likelihood"
    close = 0.05  # nats per token

    def column_id(self, run: Run) -> str:
        return digest(self.version, fingerprint(run))

    def score_of(self, message: Mapping[str, Any]) -> Score:
        """The score is the mean log-probability over the tokens of all spans.

        The details of the score hold the mean log-probability of each span that has tokens.
        """
        spans: dict[str, list[float]] = {name: span for name, span in message["spans"].items() if span[1]}
        tokens = sum(int(count) for _, count in spans.values())
        if not tokens:
            return Score(None, "no token of the candidate could be scored", json.dumps(message))
        details: dict[str, Any] = {"tokens": tokens}
        for name, (total, count) in spans.items():
            details[name] = {"mean_logprob": round(total / count, 6), "tokens": int(count)}
        mean = sum(total for total, _ in spans.values()) / tokens
        return Score(mean, f"mean log-probability over {tokens} tokens", json.dumps(message), details)

    def parts(self, details: Mapping[str, Any]) -> str:
        spans = ((name, details.get(name)) for name in ("answer", "reasoning"))
        shown = [f"{name} {span['mean_logprob']:.2f} over {span['tokens']} tokens" for name, span in spans if span]
        return self.parts_before_control(shown, details)

    def controlled(self, score: float, details: Mapping[str, Any]) -> str:
        spans = [details[name] for name in ("answer", "reasoning") if details.get(name)]
        tokens = sum(span["tokens"] for span in spans)
        if not tokens:
            return super().controlled(score, details)
        before = sum(span["mean_logprob"] * span["tokens"] for span in spans) / tokens
        return f"likelihood {before:.2f} ({tokens} tokens); {score:.2f} after length control"


JUDGE = LikelihoodJudge()

BATCH_TOKENS = 2048  # largest number of tokens in one forward pass, including padding
CHUNK_TOKENS = 256  # largest number of tokens for which logits [tokens, vocabulary] are in memory at once


def run_task(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """The worker's task `likelihood`: sum the log-probabilities of token ids over spans.

    `spec` has model, trust_remote_code, device, dtype, read and items. `items` is the path of a JSONL file; each line
    has id, input_ids and spans {name: [start, end)}. The task sends one `score` message for each item. The message
    has the item's id. The message also has a list for each span: [sum of log-probabilities in nats, number of
    tokens]. The longest items come first, so that an out-of-memory error occurs at the start.
    """
    from faq_tui.core.models.opening import opening_of

    with Path(spec["items"]).open(encoding="utf-8") as file:
        items = sorted((json.loads(line) for line in file), key=lambda item: -len(item["input_ids"]))
    if not items:
        return
    opening, folder = opening_of(spec, cancel.check)
    model = opening.backbone(folder)
    model.prepare([item["input_ids"] for item in items])
    for batch in batches(items):
        cancel.check()
        states = model.states([item["input_ids"] for item in batch])
        for row, item in enumerate(batch):
            ids = item["input_ids"]
            spans = {name: span_logprob(model, states[row], ids, [span]) for name, span in item["spans"].items()}
            send("score", id=item["id"], spans=spans)


def batches(items: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Batches of items, longest items first. Each batch is as large as the limit BATCH_TOKENS allows."""
    start = 0
    while start < len(items):
        size = max(1, BATCH_TOKENS // len(items[start]["input_ids"]))
        yield items[start : start + size]
        start += size


def span_logprob(model: Any, states: Any, ids: list[int], spans: list[list[int]]) -> tuple[float, int]:
    """The sum of log p(ids[t] | ids[:t]) over the positions t in the spans, and the number of these positions.

    `states` holds the last hidden states, [tokens, hidden].
    """
    import torch

    positions = [t for start, end in spans for t in range(max(1, start), end)]
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(positions), CHUNK_TOKENS):
            chunk = positions[first : first + CHUNK_TOKENS]
            logits = model.head.logits(states[[t - 1 for t in chunk]])
            next_ids = torch.tensor([ids[t] for t in chunk], device=logits.device)
            total += float(torch.log_softmax(logits, -1).gather(1, next_ids[:, None]).sum(dtype=torch.float64))
    return total, len(positions)
