"""Drawing the next token of each row: temperature, top-k, top-p, min-p, in transformers' order."""

from __future__ import annotations

import random
from typing import Any


def next_tokens(logits: Any, sampling: dict[str, Any], dice: list[random.Random]) -> list[int]:
    """One token id a row of `logits` [rows, vocabulary] (float32); row i draws with `dice[i]` alone.

    The draw is an inverse of the cumulative distribution at one uniform number of the row's own generator, so it
    depends on neither the device's generator nor the other rows.
    """
    import torch

    if sampling["temperature"] == 0:
        return [int(i) for i in logits.argmax(-1)]
    probs, ids = torch.softmax(logits / sampling["temperature"], -1).sort(dim=-1, descending=True)
    if sampling["top_k"] > 0:
        probs[:, sampling["top_k"] :] = 0
    total = probs.sum(-1, keepdim=True)
    # A token stays if what comes before it has not filled top_p yet: the first always stays.
    probs[(probs / total).cumsum(-1) - probs / total > sampling["top_p"]] = 0
    probs[probs < sampling["min_p"] * probs[:, :1]] = 0
    cumulated = probs.double().cumsum(-1)
    draws = torch.tensor([die.random() for die in dice], dtype=torch.float64, device=cumulated.device)
    places = torch.searchsorted(cumulated, (draws[:, None] * cumulated[:, -1:]), right=True)
    kept = (probs > 0).sum(-1, keepdim=True)
    return [int(i) for i in ids.gather(1, torch.minimum(places, kept - 1))[:, 0]]
