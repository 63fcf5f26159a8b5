"""The worker child's task `likelihood`: mean log-probabilities of given spans of given token ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken

BATCH_TOKENS = 2048  # padded tokens of one forward pass
CHUNK_TOKENS = 256  # rows of [tokens, vocabulary] logits that exist at once


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """spec: model, trust_remote_code, device, dtype, items (a JSONL path: id, input_ids, spans {name: [start, end)}).

    Sends one `score` message an item: id, and for each span [sum of log-probabilities in nats, tokens]. Longest
    items first, so that a batch that does not fit into memory fails at once and not at the end.
    """
    import torch

    from faq_tui.core.models.backbone import Backbone
    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.models.devices import device_of, dtype_name
    from faq_tui.core.models.hub import local_folder

    with Path(spec["items"]).open(encoding="utf-8") as file:
        items = sorted((json.loads(line) for line in file), key=lambda item: -len(item["input_ids"]))
    if not items:
        return
    folder, device = local_folder(spec["model"]), device_of(spec["device"])
    trusted = spec["trust_remote_code"]
    dtype = getattr(torch, dtype_name(spec["dtype"], device, folder, trusted))
    model = Backbone(load_dense(folder, dtype, device, trusted))
    for batch in batches(items):
        cancel.check()
        states = model.states([item["input_ids"] for item in batch])
        for row, item in enumerate(batch):
            ids = item["input_ids"]
            spans = {name: span_logprob(model, states[row], ids, [span]) for name, span in item["spans"].items()}
            send("score", id=item["id"], spans=spans)


def batches(items: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Items of falling length, as many together as the padded size allows."""
    start = 0
    while start < len(items):
        size = max(1, BATCH_TOKENS // len(items[start]["input_ids"]))
        yield items[start : start + size]
        start += size


def span_logprob(model: Any, states: Any, ids: list[int], spans: list[list[int]]) -> tuple[float, int]:
    """(sum of log p(ids[t] | ids[:t]) over t in the spans, number of t). `states`: [tokens, hidden]."""
    import torch

    places = [t for start, end in spans for t in range(max(1, start), end)]
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(places), CHUNK_TOKENS):
            chunk = places[first : first + CHUNK_TOKENS]
            logits = model.head.logits(states[[t - 1 for t in chunk]])
            wanted = torch.tensor([ids[t] for t in chunk], device=logits.device)
            total += float(torch.log_softmax(logits, -1).gather(1, wanted[:, None]).sum(dtype=torch.float64))
    return total, len(places)
