"""Every token's KL divergence as float16; its sign bit says that another token is the likeliest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DTYPE = "<f2"
MOST = 65504.0  # of a float16


def encode_token_kl(items: Mapping[int, Sequence[float]], differs: Mapping[int, Sequence[bool]]) -> bytes:
    """`items`: item to the KL of its predicted tokens in nats; `differs`: the same for another top-1 token."""
    import numpy as np

    order = sorted(items)
    kl = np.concatenate([np.zeros(0), *(np.asarray(items[n], dtype=np.float64) for n in order)])
    other = np.concatenate([np.zeros(0, dtype=bool), *(np.asarray(differs[n], dtype=bool) for n in order)])
    finite = np.nan_to_num(kl, nan=MOST, posinf=MOST).clip(0.0, MOST)
    return bytes(np.where(other, -finite, finite).astype(DTYPE).tobytes())


def decode_token_kl(
    blob: bytes, tokens: Sequence[float], number: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(KL in nats, whether the top-1 token differs), both [predicted tokens of item `number`].

    `tokens`: of each item how many are predicted, as the measurement's column says.
    """
    import numpy as np

    start = int(sum(tokens[:number]))
    values = np.frombuffer(blob, dtype=DTYPE)[start : start + int(tokens[number])]
    return np.abs(values).astype(np.float32), np.signbit(values)
