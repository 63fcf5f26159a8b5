"""An order in which the first samples already cover the clusters of the questions.

Farthest-first traversal (Gonzalez 1985, "Clustering to minimize the maximum intercluster distance"): each next
question is the one least like all before it. For any k its first k are within twice the smallest possible
radius. Likeness is the cosine of hashed TF-IDF vectors of words and of runs of three characters, so neither a
vocabulary nor a model is needed, and any language works.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

WIDTH = 2048  # buckets of the hash
RUN = 3  # characters


def diverse_order(texts: Sequence[str], check: Callable[[], None] = lambda: None) -> list[int]:
    """Indexes of `texts`: the most central one, then always the farthest from those before it.

    Equal distances go to the earlier text. O(n²) comparisons of WIDTH numbers; `check` is called before each
    round and may raise.
    """
    import numpy as np

    if not texts:
        return []
    vectors = _vectors(texts)
    order = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    nearest = vectors @ vectors[order[0]]  # cosine to the most alike of the chosen
    nearest[order[0]] = np.inf
    while len(order) < len(texts):
        check()
        order.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, vectors @ vectors[order[-1]])
        nearest[order[-1]] = np.inf
    return order


def _vectors(texts: Sequence[str]) -> Vectors:
    """[texts, WIDTH], rows of length 1: (1 + log tf) · log((1 + n) / (1 + df)) + 1, as scikit-learn smooths it."""
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
