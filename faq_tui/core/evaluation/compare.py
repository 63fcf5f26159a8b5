"""Negative log-likelihood, KL divergence and top-1 agreement of every item, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from faq_tui.core.cancel import CancelToken
from faq_tui.core.evaluation.items import Item, batches
from faq_tui.core.evaluation.reference import Reference, Writer
from faq_tui.core.models.cut import CutModel, Head

LOGIT_BYTES = 1 << 26  # of one float32 array over the vocabulary; four are alive at once

Sums = dict[str, list[float]]


def measure(
    model: CutModel,
    items: Sequence[Item],
    batch_size: int,
    cancel: CancelToken,
    tick: Callable[[int], None],
    reference: Reference | None = None,
    keep: Writer | None = None,
) -> Sums:
    """Per item: tokens, nll, kl, agree, hits (its token is the likeliest), summed over its predicted tokens.

    Without `reference` the model is the unquantized one itself: no divergence, full agreement. `keep` takes
    its states. `tick` hears of every batch how many tokens went through.
    """
    sums: Sums = {
        "tokens": [float(item.predicted) for item in items],
        "nll": [0.0] * len(items),
        "kl": [0.0] * len(items),
        "agree": [float(item.predicted) for item in items],
        "hits": [0.0] * len(items),
    }
    for indices in batches(items, batch_size):
        cancel.check()
        # Nothing is predicted from the last token, and it may stand beyond what the model can read.
        states = model.states([items[index].ids[:-1] for index in indices])
        for row, index in enumerate(indices):
            item = items[index]
            # The state at a token predicts the next one.
            own = states[row, item.first - 1 : len(item.ids) - 1]
            if keep is not None:
                keep.put(index, own)
            theirs = None if reference is None else (reference.states(index), reference.head)
            for name, value in compare(own, item.ids[item.first :], model.head, theirs).items():
                sums[name][index] = value
        tick(sum(len(items[index].ids) for index in indices))
    return sums


def compare(states: Any, targets: Sequence[int], head: Head, reference: tuple[Any, Head] | None) -> dict[str, float]:
    """Sums over the tokens of one item. `states`: [tokens, hidden], `reference`: the same and its head.

    nll = -log q(target); KL(p || q) = sum over the vocabulary of p (log p - log q) (Kullback and Leibler
    1951), with p the unquantized model's distribution and q this one's, both by log-softmax in float32.
    Sums over tokens are in float64, so that the order of batches does not show.
    """
    import torch

    step = max(1, LOGIT_BYTES // (4 * head.vocabulary))
    wanted = torch.tensor(targets, device=states.device)
    found = {"nll": 0.0, "hits": 0.0} | ({} if reference is None else {"kl": 0.0, "agree": 0.0})
    with torch.inference_mode():
        for start in range(0, len(targets), step):
            part = slice(start, start + step)
            q = torch.log_softmax(head.logits(states[part]), dim=-1)
            found["nll"] -= float(q.gather(1, wanted[part, None]).sum(dtype=torch.float64))
            first = q.argmax(-1)
            found["hits"] += float((first == wanted[part]).sum())
            if reference is not None:
                p = torch.log_softmax(reference[1].logits(reference[0][part]), dim=-1)
                found["agree"] += float((p.argmax(-1) == first).sum())
                found["kl"] += _kl(p, q)
    return found


def _kl(p: Any, q: Any) -> float:
    """Summed over rows; `p` and `q` are log-probabilities, and both are used up."""
    import torch

    difference = torch.sub(p, q, out=q)
    return float(difference.mul_(p.exp_()).sum(-1).sum(dtype=torch.float64))
