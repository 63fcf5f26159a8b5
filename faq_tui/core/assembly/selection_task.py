"""The worker's task `selection`: run the target on each sample, and order the samples by the results.

The spec's key `select` names the order.

With `centroid`, the samples are divided into clusters, one for each sample that the set will keep. Each cluster is
represented by the sample nearest to its centroid. A sample is described by the mean of the target's activations over
its tokens.

With `entropy`, the samples are sorted by the mean entropy of the target's next-token distribution over the reply's
tokens. The largest entropy comes first.

With `experts`, each further sample is the one whose tokens are routed to the most new experts (a greedy cover).

The task sends one message, `order`, with the indexes of the rows in their new order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations.capture import DEFAULT_MODULES, routed_tokens
from faq_tui.core.activations.module_refs import (
    EXPERTS,
    decoder_of,
    find_experts,
    find_module_refs,
    find_single_experts,
)
from faq_tui.core.assembly.coverage_task import greedy_cover
from faq_tui.core.assembly.sample import Sample
from faq_tui.core.assembly.target_task import ask_target, read_rows
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.layer_stream import LayerStream, network_of
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

WHAT = {
    "centroid": "the mean activations of the target on each sample",
    "entropy": "the entropy of the target's predictions on each answer",
    "experts": "to which experts the target routes each sample",
}
SEED = 0  # random seed of the k-means clustering
ROUNDS = 100  # largest number of rounds of the k-means clustering
LOGITS = 1 << 24  # largest number of logits that are computed at once
DENSE = 'select = "experts" needs a mixture of experts, but the target is a dense model: choose another order'


def order_by_target(
    context: Context, target: TargetModel, select: str, samples: Sequence[Sample], wanted: int | None
) -> list[int]:
    """Sort the samples by `select`: centroid, entropy or experts. Returns the indexes of the sorted samples.

    `wanted` is the number of samples that the set will keep; None means that it keeps all samples. Raises FaqError if
    `select` is experts, and the target is a dense model.
    """
    if select == "centroid" and (wanted is None or wanted >= len(samples)):
        return list(range(len(samples)))
    result = ask_target(context, target, "selection", samples, WHAT[select], select=select, wanted=wanted)
    if result["without_reply"]:
        lacking = f"{result['without_reply']} of {len(samples)} samples have no answer"
        context.emit(Note(f'{lacking}, so select = "entropy" puts them last'))
    return [int(index) for index in result["order"]]


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Order the samples of the file `rows`, and send the order. `ask_target` describes `spec`."""
    from faq_tui.core.models.opening import opening_of

    rows, replies = read_rows(spec["rows"])
    opening, folder = opening_of(spec, cancel.check)
    without_reply = 0
    if spec["select"] == "entropy":
        order = entropy_order(entropies(opening.backbone(folder), rows, replies, cancel.check))
        without_reply = sum(not any(reply) for reply in replies)
    elif spec["select"] == "experts":
        order = greedy_cover(routed(opening.open(folder), rows, cancel.check))
    else:
        means = mean_activations(opening.open(folder), rows, spec["modules"], cancel.check)
        order = centroid_order(means, int(spec["wanted"]))
    send("order", order=order, without_reply=without_reply)


# Entropy.


def entropies(
    backbone: Any, rows: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], check: Callable[[], None]
) -> list[float | None]:
    """For each row, the mean entropy in nats of the target's predictions for the tokens of the reply.

    The result for a row without a reply is None. The token at position t is predicted by the distribution after the
    tokens 0 to t - 1. The entropy of a distribution p is the sum over the vocabulary of -p log p.
    """
    import torch

    out: list[float | None] = []
    backbone.prepare(rows)
    step = max(1, LOGITS // backbone.head.vocabulary)
    for ids, reply in zip(rows, replies, strict=True):
        check()
        before = [position - 1 for position in reply if position > 0]
        if not before:
            out.append(None)
            continue
        states = backbone.states([ids])[0][before]
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(before), step):
                logs = torch.log_softmax(backbone.head.logits(states[start : start + step]), dim=-1)
                total -= float((logs.exp() * logs).nan_to_num(0.0).sum(dtype=torch.float64))
        out.append(total / len(before))
    return out


def entropy_order(values: Sequence[float | None]) -> list[int]:
    """The indexes of `values`, the largest value first. Rows without a value come last. Ties keep their order."""
    return sorted(range(len(values)), key=lambda n: (values[n] is None, -(values[n] or 0.0)))


# Experts.


def routed(model: Any, rows: Sequence[Sequence[int]], check: Callable[[], None]) -> Bools:
    """A table of the experts that each row uses. An entry is true if a token of the row is routed to the expert.

    The shape of the result is [rows, experts of all layers]. Raises FaqError if the model has no experts.
    """
    import numpy as np

    network = network_of(model)
    counts: dict[int, dict[int, Any]] = {}  # counts[layer][row]: int64 [experts]
    row = [0]  # the row that runs now

    def fused(layer: int) -> Callable[..., None]:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            of_layer = counts.setdefault(layer, {})
            of_layer[row[0]] = of_layer.get(row[0], 0) + routed_tokens(module, args, kwargs).cpu()

        return hook

    def single(layer: int, number: int, experts: int) -> Callable[..., None]:
        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            import torch

            x = args[0] if args else next(iter(kwargs.values()))
            of_layer = counts.setdefault(layer, {})
            of_layer.setdefault(row[0], torch.zeros(experts, dtype=torch.int64))[number] += x.shape[:-1].numel()

        return hook

    of_one = list(find_single_experts(network))
    hooks = {module: fused(layer) for layer, _, module in find_experts(network)}
    for layer, number, module in of_one:
        hooks[module] = single(layer, number, sum(other == layer for other, _, _ in of_one))
    if not hooks:
        raise FaqError(DENSE)
    with hooked(hooks):
        run_rows(model, rows, lambda number: row.__setitem__(0, number), check)
    parts = []
    for _, of_layer in sorted(counts.items()):
        nothing = 0 * next(iter(of_layer.values()))
        parts.append(np.stack([of_layer.get(number, nothing).numpy() > 0 for number in range(len(rows))]))
    return np.concatenate(parts, axis=1)


# Centroids.


def mean_activations(
    model: Any, rows: Sequence[Sequence[int]], modules: Sequence[str], check: Callable[[], None]
) -> Floats:
    """The mean of one module's input over the tokens of each row, [rows, channels].

    If `modules` names several modules of the model, the middle one in the model's order is used. Each row's first
    token is left out, because it is the attention sink, and its activations are much larger than all others. Raises
    UsageError if the model has none of the modules.
    """
    import numpy as np

    named = [name for name in modules if name != EXPERTS] or list(DEFAULT_MODULES)
    refs = sorted(find_module_refs(network_of(model), named).items())
    _, module = refs[len(refs) // 2]
    means: list[Any] = [None] * len(rows)
    row = [0]

    def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = args[0] if args else next(iter(kwargs.values()))
        x = x.reshape(-1, x.shape[-1])
        means[row[0]] = (x[1:] if len(x) > 1 else x).float().mean(0).cpu().numpy()

    with hooked({module: hook}):
        run_rows(model, rows, lambda number: row.__setitem__(0, number), check)
    return np.stack(means).astype(np.float64)


def centroid_order(means: Floats, wanted: int) -> list[int]:
    """The indexes of the rows of `means`, [rows, channels]. The first `wanted` rows in this order are diverse.

    Each channel is scaled to standard deviation 1. After the scaling, k-means with k = `wanted` divides the rows into
    clusters (Lloyd 1982). The first centroids are chosen by k-means++ (Arthur and Vassilvitskii 2007) with a fixed
    random seed. From each cluster, the row nearest to the centroid is taken. The rows of large clusters come first.
    All other rows follow, sorted by the distance to the centroid of their cluster. If several rows have equal means,
    there may be fewer clusters than `wanted`.
    """
    import numpy as np

    if not np.isfinite(means).all():
        raise FaqError(
            "the target's activations hold NaN or infinity: the model's weights are damaged, or values exceed the "
            "range of its dtype (set another target.dtype)"
        )
    spread = means.std(axis=0)
    points = (means - means.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    centroids = _first_centroids(points, min(wanted, len(points)))
    own = np.full(len(points), -1)
    for _ in range(ROUNDS):
        distances = _distances(points, centroids)
        nearest = distances.argmin(axis=1)
        if (nearest == own).all():
            break
        own = nearest
        for number in range(len(centroids)):
            if (own == number).any():
                centroids[number] = points[own == number].mean(axis=0)
    distance = _distances(points, centroids)[np.arange(len(points)), own]
    rank = sorted(range(len(points)), key=lambda n: (distance[n], n))
    size = np.bincount(own, minlength=len(centroids))
    first = {int(own[n]): n for n in reversed(rank)}  # the nearest row of each cluster
    chosen = sorted(first.values(), key=lambda n: (-size[own[n]], n))
    taken = set(chosen)
    return [*chosen, *(n for n in rank if n not in taken)]


def _first_centroids(points: Floats, k: int) -> Floats:
    """Choose the first centroids by k-means++: each further centroid is a randomly drawn point.

    The probability of a point is proportional to its squared distance to the nearest chosen centroid.
    """
    import numpy as np

    rng = np.random.default_rng(SEED)
    chosen = [int(rng.integers(len(points)))]
    nearest = _distances(points, points[chosen])[:, 0]
    while len(chosen) < k and nearest.sum() > 0:
        chosen.append(int(rng.choice(len(points), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, _distances(points, points[chosen[-1:]])[:, 0])
    return points[chosen].copy()


def _distances(points: Floats, centroids: Floats) -> Floats:
    """Squared distances, [points, centroids].

    The distances to one centroid are computed at a time, to save memory.
    """
    import numpy as np

    return np.stack([((points - centroid) ** 2).sum(axis=1) for centroid in centroids], axis=1)


# Both.


@contextmanager
def hooked(hooks: dict[Any, Callable[..., None]]) -> Iterator[None]:
    """Call each hook with the inputs of its module, as long as the context is open."""
    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run_rows(
    model: Any, rows: Sequence[Sequence[int]], begin: Callable[[int], object], check: Callable[[], None]
) -> None:
    """Run each row through the model, or through one layer after the other if `model` is a `LayerStream`.

    `begin` gets the number of each row before the row runs. The model's lm_head is not run.
    """
    import torch

    with torch.inference_mode():
        if isinstance(model, LayerStream):
            for step in model.steps([[row] for row in rows]):
                for number in range(len(rows)):
                    check()
                    begin(number)
                    step.run(number)
            return
        for number, ids in enumerate(rows):
            check()
            begin(number)
            decoder_of(model)(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False)
