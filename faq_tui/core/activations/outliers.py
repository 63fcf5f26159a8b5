"""Outlier channels of the target, and how many of them a calibration set drives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

TIMES_MEDIAN = 3.0


def reference(absmaxes: Iterable[Floats]) -> Floats:
    """[channels]: the largest |x| that any of the sets (arrays of that shape) drove each channel to."""
    import numpy as np

    found: Floats = np.maximum.reduce(list(absmaxes))
    return found


def threshold(reference: Floats) -> float:
    """Where an outlier begins: three times the median over channels of their largest |x|.

    Relative to the module itself, since absolute limits (6.0 in LLM.int8, arXiv:2208.07339) fit one family of
    models only.
    """
    import numpy as np

    return TIMES_MEDIAN * float(np.median(reference))


def outlier_channels(reference: Floats) -> Mask:
    """[channels]: those whose largest |x| on the reference exceeds `threshold`."""
    found: Mask = reference > threshold(reference)
    return found


def coverage(absmax: Floats, reference: Floats) -> float | None:
    """The share of the reference's outlier channels that `absmax` drives over the same threshold.

    None if the reference has no outlier channel.
    """
    outliers = outlier_channels(reference)
    if not outliers.any():
        return None
    return float((absmax[outliers] > threshold(reference)).mean())
