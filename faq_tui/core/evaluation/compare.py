"""Compare a model with the unquantized one, item by item, and store the KL divergence of every token.

`measure` runs a model over the items of a held-out text. `compare` computes the sums of one item from hidden states.
`encode_token_kl` packs every token's KL divergence as a float16 number, and `decode_token_kl` unpacks these numbers.
A number has its sign bit set if the two models have different top-1 tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.evaluation.heldout import Columns, Item, batches
from faq_tui.core.evaluation.metrics import Metric
from faq_tui.core.evaluation.reference import Reference, Writer
from faq_tui.core.extensions import METRICS
from faq_tui.core.models.backbone import Backbone, LmHead

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOGIT_BYTES = 1 << 26  # largest size of one float32 array [tokens, vocabulary]; four such arrays exist at once

Each = Callable[[int, list[float], list[bool]], None]


def measure(
    model: Backbone,
    items: Sequence[Item],
    batch_size: int,
    cancel: CancelToken,
    tick: Callable[[int], None],
    reference: Reference | None = None,
    keep: Writer | None = None,
    each: Each | None = None,
    metrics: Sequence[Metric] = (),
) -> Columns:
    """Run `model` over `items`. Returns columns that hold one sum per item, over the item's predicted tokens.

    The columns are `tokens`, `nll`, `kl`, `agree`, `hits`, and the token column of each metric in `metrics`. `agree`
    is the number of tokens for which `model` and the reference have the same top-1 token. `hits` is the number of the
    text's tokens that are the top-1 token of `model`. If `reference` is None, `model` is the unquantized model
    itself. Then `kl` is 0, and `agree` equals `tokens`. If `keep` is given, it stores the hidden states of `model`.
    `each` is called for each item. The arguments of `each` are the item's index, a list with the KL of each token,
    and a list with a bool for each token. The bool is True if the top-1 tokens of the two models differ. `tick` gets
    the number of tokens of each batch. Raises FaqError if a metric fails.
    """
    sums: Columns = {
        "tokens": [float(item.predicted) for item in items],
        "nll": [0.0] * len(items),
        "kl": [0.0] * len(items),
        "agree": [float(item.predicted) for item in items],
        "hits": [0.0] * len(items),
        **{metric.token_column: [0.0] * len(items) for metric in metrics},
    }
    for indices in batches(items, batch_size):
        cancel.check()
        # The model does not read the last token, because no token after it must be predicted. The last token may also
        # lie beyond the model's window.
        states = model.states([items[index].ids[:-1] for index in indices])
        for row, index in enumerate(indices):
            item = items[index]
            # The hidden state of a token predicts the next token.
            own = states[row, item.first - 1 : len(item.ids) - 1]
            if keep is not None:
                keep.put(index, own)
            theirs = None if reference is None else (reference.states(index), reference.head)
            token_kl: list[float] = []
            differs: list[bool] = []
            values = compare(own, item.ids[item.first :], model.head, theirs, token_kl, differs, metrics)
            for name, value in values.items():
                sums[name][index] = value
            if each is not None and theirs is not None:
                each(index, token_kl, differs)
        tick(sum(len(items[index].ids) for index in indices))
    return sums


def compare(
    states: Any,
    targets: Sequence[int],
    head: LmHead,
    reference: tuple[Any, LmHead] | None,
    token_kl: list[float] | None = None,
    differs: list[bool] | None = None,
    metrics: Sequence[Metric] = (),
) -> dict[str, float]:
    """Sums over the tokens of one item.

    `states` has the shape [tokens, hidden]. `reference` holds states of the same shape and the lm_head of their
    model. For each token, the function appends the KL to `token_kl`, and appends a bool to `differs`. The bool is
    True if the top-1 tokens of the two models differ.

    nll = -log q(target). KL(p || q) = sum over the vocabulary of p (log p - log q) (Kullback and Leibler 1951). Here
    p is the unquantized model's distribution, and q is the measured model's distribution. Both distributions are
    computed by log-softmax in float32. Sums over tokens use float64, so that their order does not change the result
    noticeably.
    """
    import torch

    step = max(1, LOGIT_BYTES // (4 * head.vocabulary))
    target_ids = torch.tensor(targets, device=states.device)
    sums = {"nll": 0.0, "hits": 0.0} | ({} if reference is None else {"kl": 0.0, "agree": 0.0})
    of_metric: dict[str, list[float]] = {metric.token_column: [] for metric in metrics}
    with torch.inference_mode():
        for start in range(0, len(targets), step):
            part = slice(start, start + step)
            q = torch.log_softmax(head.logits(states[part]), dim=-1)
            sums["nll"] -= float(q.gather(1, target_ids[part, None]).sum(dtype=torch.float64))
            first = q.argmax(-1)
            sums["hits"] += float((first == target_ids[part]).sum())
            p = q if reference is None else torch.log_softmax(reference[1].logits(reference[0][part]), dim=-1)
            for metric in metrics:
                of_metric[metric.token_column] += _token_values(metric, p, q, target_ids[part])
            if reference is not None:
                same = p.argmax(-1) == first
                sums["agree"] += float(same.sum())
                rows = _kl(p, q)
                sums["kl"] += float(rows.sum(dtype=torch.float64))
                if token_kl is not None and differs is not None:
                    token_kl += rows.tolist()
                    differs += (~same).tolist()
    return sums | _item_values(metrics, of_metric)


def _token_values(metric: Metric, p: Any, q: Any, targets: Any) -> list[float]:
    """The metric's value of each token, shape [tokens].

    If the metric comes from another package and its code fails, raises FaqError.
    """
    try:
        values = metric.token_values(p, q, targets)
        if tuple(values.shape) != tuple(targets.shape):
            raise ValueError(f"it has shape {tuple(values.shape)}, not {tuple(targets.shape)}")
        return [float(value) for value in values.tolist()]
    except Exception as error:
        raise METRICS.failure(metric.name, error) from error


def _item_values(metrics: Sequence[Metric], values: Mapping[str, list[float]]) -> dict[str, float]:
    """The value of each metric for the whole item, keyed by the name of the metric's token column."""
    numbers = {}
    for metric in metrics:
        try:
            numbers[metric.token_column] = float(metric.item_value(values[metric.token_column]))
        except Exception as error:
            raise METRICS.failure(metric.name, error) from error
    return numbers


def _kl(p: Any, q: Any) -> Any:
    """KL(p || q) of each row. `p` and `q` are log-probabilities. The function overwrites both tensors."""
    import torch

    return torch.sub(p, q, out=q).mul_(p.exp_()).sum(-1)


DTYPE = "<f2"
MOST = 65504.0  # the largest finite float16


def encode_token_kl(items: Mapping[int, Sequence[float]], differs: Mapping[int, Sequence[bool]]) -> bytes:
    """Pack the KL, in nats, of each item's predicted tokens.

    `differs` has a bool for each token, which is True if the top-1 tokens of the two models differ.
    """
    import numpy as np

    order = sorted(items)
    kl = np.concatenate([np.zeros(0), *(np.asarray(items[n], dtype=np.float64) for n in order)])
    other = np.concatenate([np.zeros(0, dtype=bool), *(np.asarray(differs[n], dtype=bool) for n in order)])
    finite = np.nan_to_num(kl, nan=MOST, posinf=MOST).clip(0.0, MOST)
    return bytes(np.where(other, -finite, finite).astype(DTYPE).tobytes())


def decode_token_kl(
    blob: bytes, tokens: Sequence[float], number: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Unpack item `number`.

    Returns two arrays with one entry per predicted token. The first array has the KL in nats. The second array has a
    bool, which is True if the two top-1 tokens differ. `tokens` is the measurement's column with the number of
    predicted tokens of each item.
    """
    import numpy as np

    start = int(sum(tokens[:number]))
    values = np.frombuffer(blob, dtype=DTYPE)[start : start + int(tokens[number])]
    return np.abs(values).astype(np.float32), np.signbit(values)
