"""Sort the samples of a set. The setting `select` in `[sets]` names the order.

After sorting, the set keeps only its first samples: as many as the settings `count` and `match` require.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from faq_tui.core.assembly.build import Order
from faq_tui.core.assembly.sample import Sample
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.settings import SetPlan
from faq_tui.core.store import picks as pick_rows
from faq_tui.core.store.seeds import Seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


def ordering(context: Context, target: TargetModel, seeds: Iterable[Seed]) -> Order:
    """Return a function that sorts the samples of a set. The field `select` of the set's plan names the order.

    `seeds` yields every seed that may have a sample. With `judge`, samples with a better score come first.
    Samples without a score come last. Samples with equal scores stay in the order of the draw. With `diversity`, the
    first samples have questions that differ as much as possible. With `coverage`, the first samples cover the
    target's outlier channels. With `centroid`, `entropy` and `experts`, the target also reads each sample (see
    `selection_task`).
    """

    def order(plan: SetPlan, samples: list[Sample], wanted: int | None) -> list[Sample]:
        if plan.select == "judge":
            scores = pick_rows.scores_of(context.run.store, judge_id(context.run))
            return sorted(samples, key=lambda sample: _rank(scores.get(sample.candidate_id or 0)))
        if plan.select == "diversity":
            questions = {seed.id: seed.question for seed in seeds}
            texts = [questions[sample.seed_id] for sample in samples]
            return [samples[index] for index in diverse_order(texts, context.cancel.check)]
        if plan.select == "coverage":
            from faq_tui.core.assembly.coverage_task import covering_order

            return [samples[index] for index in covering_order(context, target, samples)]
        if plan.select is not None:
            from faq_tui.core.assembly.selection_task import order_by_target

            return [samples[n] for n in order_by_target(context, target, plan.select, samples, wanted)]
        return samples

    return order


def _rank(score: float | None) -> tuple[bool, float]:
    return (score is None, -(score or 0.0))


WIDTH = 2048  # number of buckets into which features are hashed
RUN = 3  # number of characters in a feature


def diverse_order(texts: Sequence[str], check: Callable[[], None] = lambda: None) -> list[int]:
    """The indexes of `texts` in a diverse order. The first text is the one that is most similar to the mean of all
    texts.

    Each next text is the one that is least similar to all texts chosen before it. If several texts are equally
    dissimilar, the earliest of these texts is taken. For n texts, this compares O(n²) pairs of vectors with WIDTH
    numbers each. `check` is called before each text is chosen; it may raise an exception to end the work.
    """
    import numpy as np

    if not texts:
        return []
    vectors = _vectors(texts)
    order = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    nearest = vectors @ vectors[order[0]]  # each text's cosine similarity to the nearest chosen text
    nearest[order[0]] = np.inf
    while len(order) < len(texts):
        check()
        order.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, vectors @ vectors[order[-1]])
        nearest[order[-1]] = np.inf
    return order


def _vectors(texts: Sequence[str]) -> Vectors:
    """The weights of the features in each text, [texts, WIDTH]. Each row is scaled to length 1.

    The weight of a feature is (1 + log tf) · (log((1 + n) / (1 + df)) + 1). This is smoothed tf-idf as in
    scikit-learn. `tf` is the feature's count in the text. `n` is the number of texts. `df` is the number of texts
    that have the feature.
    """
    import numpy as np

    counts = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for row, text in zip(counts, texts, strict=True):
        for feature, count in Counter(_features(text)).items():
            row[zlib.crc32(feature.encode("utf-8", "replace")) % WIDTH] += count
    seen = (counts > 0).sum(axis=0)
    weight = np.log((1 + len(texts)) / (1 + seen)) + 1.0
    vectors = np.where(counts > 0, 1.0 + np.log(np.maximum(counts, 1.0)), 0.0) * weight
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _features(text: str) -> Iterator[str]:
    words = re.findall(r"\w+", text.casefold())
    yield from (f"w {word}" for word in words)
    line = f" {' '.join(words)} "
    yield from (f"c {line[i : i + RUN]}" for i in range(len(line) - RUN + 1))
