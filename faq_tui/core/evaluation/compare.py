"""Compare a model with the unquantized one, item by item, and store the KL divergence of every token.

`measure` runs a model over the items of a held-out text. `compare` computes the sums of one item from hidden states.
`encode_token_kl` packs every token's KL divergence as a float16 number, and `decode_token_kl` unpacks these numbers.
The sign bit of a number is set if the two models have different top-1 tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.evaluation.heldout import Columns, Item, batches, shared_rows, starts
from faq_tui.core.evaluation.log_probs import LogProbs
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
    log_probs: LogProbs | None = None,
    entropies: dict[int, list[float]] | None = None,
) -> Columns:
    """Run `model` over `items`. Returns columns that hold one sum per item, over the item's predicted tokens.

    The columns are `tokens`, `nll`, `kl`, `agree`, `hits`, and the token column of each metric in `metrics`. `agree`
    is the number of tokens for which `model` and the reference have the same top-1 token. `hits` is the number of
    tokens that `model` predicts correctly: the text's token is the top-1 token of `model`. If `reference` is None,
    `model` is the unquantized model itself. Then `kl` is 0, and `agree` equals `tokens`. If `keep` is given, this
    writer stores the hidden states of `model`. The function `each` is called once per item. The arguments of `each`
    are the item's index, a list with the KL of each token, and a list with a bool for each token. The bool is True if
    the top-1 tokens of the two models differ. `tick` gets the number of tokens of each batch. `log_probs` keeps the
    log-probabilities of the unquantized model for the next call with the same items and the same batch size. If
    `model` is the unquantized model, `entropies` is filled: it maps an item's index to the entropies of the item's
    predictions. Raises FaqError if a metric fails.

    If the tokens of item A are also the start of item B, the model processes only item B.
    """
    sums: Columns = {
        "tokens": [float(item.predicted) for item in items],
        "nll": [0.0] * len(items),
        "kl": [0.0] * len(items),
        "agree": [float(item.predicted) for item in items],
        "hits": [0.0] * len(items),
        **{metric.token_column: [0.0] * len(items) for metric in metrics},
    }
    shared = shared_rows(items)
    hosts = list(shared)
    for number, batch in enumerate(batches([items[host] for host in hosts], batch_size)):
        cancel.check()
        # The model does not read the last token, because no token after it must be predicted. The last token may also
        # lie beyond the model's window.
        states = model.states([items[hosts[place]].ids[:-1] for place in batch])
        rows = {index: row for row, place in enumerate(batch) for index in shared[hosts[place]]}
        # The hidden state of a token predicts the next token.
        own = {index: states[row, items[index].first - 1 : len(items[index].ids) - 1] for index, row in rows.items()}
        if keep is not None:
            for index, values in own.items():
                keep.put(index, values)
        theirs = None if reference is None else _Unquantized(reference, list(rows))
        found = _compare_items(
            list(own.values()),
            [items[index].ids[items[index].first :] for index in rows],
            model.head,
            _Shared(theirs, log_probs, number, entropies is not None),
            metrics,
        )
        for index, of_item in zip(rows, found, strict=True):
            for name, value in of_item.sums.items():
                sums[name][index] = value
            if each is not None and theirs is not None:
                each(index, of_item.token_kl, of_item.differs)
            if entropies is not None and theirs is None:
                entropies[index] = of_item.entropies
        tick(sum(len(items[index].ids) for index in rows))
    return sums


def compare(
    states: Any,
    targets: Sequence[int],
    head: LmHead,
    reference: tuple[Any, LmHead] | None,
    metrics: Sequence[Metric] = (),
) -> dict[str, float]:
    """Sums over the tokens of one item.

    `states` has the shape [tokens, hidden]. `reference` holds states of the same shape and the lm_head of their
    model.

    nll = -log q(target). KL(p || q) = sum over the vocabulary of p (log p - log q) (Kullback and Leibler 1951). Here
    p is the unquantized model's distribution, and q is the measured model's distribution. Both distributions are
    computed by log-softmax in float32. Sums over tokens use float64, so that their order does not change the result
    noticeably.
    """
    theirs = None if reference is None else _Given(*reference)
    return _compare_items([states], [targets], head, _Shared(theirs), metrics)[0].sums


@dataclass(frozen=True)
class _Given:
    """States of the unquantized model [tokens, hidden], and its lm_head."""

    states: Any
    head: LmHead

    def log_probs(self, part: slice) -> Any:
        return _log_softmax(self.head, self.states[part])


class _Unquantized:
    """The unquantized model's stored states of some items.

    The states are read from disk when they are first needed.
    """

    def __init__(self, reference: Reference, indices: Sequence[int]) -> None:
        self._reference, self._indices = reference, indices
        self._states: Any = None

    def log_probs(self, part: slice) -> Any:
        import torch

        if self._states is None:
            self._states = torch.cat([self._reference.states(index) for index in self._indices])
        return _log_softmax(self._reference.head, self._states[part])


@dataclass(frozen=True)
class _Shared:
    """The log-probabilities of the unquantized model for one batch.

    If `source` is None, the measured model is the unquantized one.
    """

    source: _Given | _Unquantized | None
    kept: LogProbs | None = None
    batch: int = 0
    entropies: bool = False  # True if the entropies of the unquantized model's predictions are wanted

    def of(self, part: slice, measured: Any) -> Any:
        """The unquantized model's log-probabilities for the tokens `part`.

        `measured` holds the measured model's log-probabilities.
        """
        key, source = (self.batch, part.start), self.source
        if source is None:
            if self.kept is not None:
                self.kept.keep(key, measured)
            return measured
        return source.log_probs(part) if self.kept is None else self.kept.of(key, lambda: source.log_probs(part))


@dataclass(frozen=True)
class _ItemResult:
    sums: dict[str, float]
    token_kl: list[float]
    differs: list[bool]
    entropies: list[float]


def _compare_items(
    states: Sequence[Any],
    targets: Sequence[Sequence[int]],
    head: LmHead,
    unquantized: _Shared,
    metrics: Sequence[Metric],
) -> list[_ItemResult]:
    """Compare several items at once, because a product with lm_head is slow for a few tokens.

    Each entry of `states` has the shape [tokens, hidden]. The docstring of `compare` defines the sums.
    """
    import torch

    step = max(1, LOGIT_BYTES // (4 * head.vocabulary))
    bounds = starts(map(len, targets))
    target_ids = torch.tensor([token for of_item in targets for token in of_item], device=states[0].device)
    of_metric: list[dict[str, list[float]]] = [{metric.token_column: [] for metric in metrics} for _ in targets]
    nll, hits, kl, same, entropy = [], [], [], [], []
    with torch.inference_mode():
        every = torch.cat(list(states))
        for start in range(0, bounds[-1], step):
            part = slice(start, min(start + step, bounds[-1]))
            ids, q = target_ids[part], _log_softmax(head, every[part])
            nll.append(-q.gather(1, ids[:, None])[:, 0])
            first = q.argmax(-1)
            hits.append(first == ids)
            p = unquantized.of(part, q)
            for item, own in _items_in(part, bounds) if metrics else ():
                for metric in metrics:
                    of_metric[item][metric.token_column] += _token_values(metric, p[own], q[own], ids[own])
            if unquantized.source is not None:
                same.append(p.argmax(-1) == first)
                kl.append(_kl(p, q))
            elif unquantized.entropies:
                entropy.append(_entropy(p))
        columns = {"nll": torch.cat(nll), "hits": torch.cat(hits)}
        if unquantized.source is not None:
            columns |= {"kl": torch.cat(kl), "agree": torch.cat(same)}
        of_tokens = torch.cat(entropy).tolist() if entropy else []
    results = []
    for item, values in enumerate(of_metric):
        own = slice(bounds[item], bounds[item + 1])
        sums = {name: float(column[own].sum(dtype=torch.float64)) for name, column in columns.items()}
        token_kl = columns["kl"][own].tolist() if "kl" in columns else []
        differs = (~columns["agree"][own]).tolist() if "kl" in columns else []
        results.append(_ItemResult(sums | _item_values(metrics, values), token_kl, differs, of_tokens[own]))
    return results


def _items_in(part: slice, bounds: Sequence[int]) -> list[tuple[int, slice]]:
    """(item, slice) for each item that has tokens in `part`. The slice selects the item's tokens within `part`."""
    return [
        (item, slice(max(first, part.start) - part.start, min(end, part.stop) - part.start))
        for item, (first, end) in enumerate(pairwise(bounds))
        if first < part.stop and end > part.start
    ]


def _log_softmax(head: LmHead, states: Any) -> Any:
    """Log-probabilities [tokens, vocabulary] in float32. The logits are overwritten to save memory."""
    import torch

    logits = head.logits(states)
    return torch.log_softmax(logits, -1, out=logits)


def _token_values(metric: Metric, p: Any, q: Any, targets: Any) -> list[float]:
    """The metric's value for each token, shape [tokens].

    Raises FaqError if the metric comes from another package and its code fails.
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
    """KL(p || q) of each row. `p` and `q` are log-probabilities. The function overwrites `q`.

    A token with probability 0 under p adds 0. Some models give probability 0 to reserved tokens.
    """
    import torch

    summands = torch.sub(p, q, out=q).mul_(p.exp())
    kl = summands.sum(-1)
    if not bool(kl.isfinite().all()):
        kl = summands.masked_fill_(p == -torch.inf, 0.0).sum(-1)
    return kl


def _entropy(p: Any) -> Any:
    """The entropy of each row, in nats. `p` are log-probabilities."""
    return p.exp().mul_(p).nan_to_num_(0.0).sum(-1).neg_()


DTYPE = "<f2"
MOST = 65504.0  # the largest finite float16


def encode_token_kl(items: Mapping[int, Sequence[float]], differs: Mapping[int, Sequence[bool]]) -> bytes:
    """Pack the KL, in nats, of each item's predicted tokens. A KL that is not finite becomes MOST.

    `differs` has a bool for each token, which is True if the top-1 tokens of the two models differ.
    """
    import numpy as np

    order = sorted(items)
    kl = np.concatenate([np.zeros(0), *(np.asarray(items[n], dtype=np.float64) for n in order)])
    other = np.concatenate([np.zeros(0, dtype=bool), *(np.asarray(differs[n], dtype=bool) for n in order)])
    finite = np.nan_to_num(kl, nan=MOST, posinf=MOST).clip(0.0, MOST)
    return bytes(np.where(other, -finite, finite).astype(DTYPE).tobytes())


def unpacked_token_kl(blob: bytes) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Unpack the values of all items.

    Returns two arrays with one entry per predicted token. The first array has the KL in nats, which is infinite if
    the KL was not finite. The second array has a bool, which is True if the two top-1 tokens differ.
    """
    import numpy as np

    values = np.frombuffer(blob, dtype=DTYPE)
    kl = np.abs(values).astype(np.float64)
    kl[kl >= MOST] = np.inf
    return kl, np.signbit(values)


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
