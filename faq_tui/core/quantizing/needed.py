"""The least memory that a quantization can do with: below it there is no use in beginning."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing.terms import WALKED

LIBRARIES = 800_000_000  # bytes resident once torch, transformers and gptqmodel are imported
# GPTAQ keeps the unquantized model's hidden states beside its own, and a second matrix beside the Hessian.
TWOFOLD = frozenset({"gptaq"})


def memory_needed(target: Path, method: str, longest: int, tokens: int, device: str = "cpu") -> int:
    """Bytes that a layer-by-layer quantizer holds on `device` at its peak, a lower bound: no refusal may be wrong.

    The layers pass one by one, so they count by the largest weight: its fp32 copy, result and losses, and the
    Hessian with its inverse (in_features x in_features, fp32). Embeddings stay, and so does every token's
    hidden state, before and after the layer; but our own walk leaves both to the host where a GPU is small.
    """
    tensors = tensors_of(target)
    shapes = linear_shapes(target)
    squares = 3 if method in TWOFOLD else 2
    solve = max((4 * (3 * rows * columns + squares * columns**2) for rows, columns in shapes.values()), default=0)
    resident = sum(size for name, (_, _, size) in tensors.items() if name.removesuffix(".weight") not in shapes)
    hidden = min((columns for _, columns in shapes.values()), default=0)
    states = 2 * 2 * tokens * hidden * (2 if method in TWOFOLD else 1)
    if device == "cpu":
        return LIBRARIES + solve + resident + states + 4 * longest * hidden
    return solve + 4 * longest * hidden + (0 if method in WALKED else resident + states)


def host_needed(target: Path, method: str) -> int:
    """Bytes in the host's memory whatever the device: our own walk reads the whole model."""
    return LIBRARIES + (sum(size for _, _, size in tensors_of(target).values()) if method in WALKED else 0)
