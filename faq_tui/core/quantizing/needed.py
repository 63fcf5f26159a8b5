"""The least memory that a quantization can do with: below it there is no use in beginning."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.models.headers import linear_shapes, tensors_of

LIBRARIES = 800_000_000  # bytes resident once torch, transformers and gptqmodel are imported
# GPTAQ keeps the unquantized model's hidden states beside its own, and a second matrix beside the Hessian.
TWOFOLD = frozenset({"gptaq"})


def memory_needed(target: Path, method: str, longest: int, tokens: int) -> int:
    """Bytes a layer-by-layer quantizer holds at its peak, a lower bound: a person wants no refusal that is wrong.

    The layers pass one by one, so they count by the largest weight: its fp32 copy, result and losses, and the
    Hessian with its inverse (in_features x in_features, fp32). Embeddings stay, and so does every token's
    hidden state, before and after the layer.
    """
    tensors = tensors_of(target)
    shapes = linear_shapes(target)
    squares = 3 if method in TWOFOLD else 2
    solve = max((4 * (3 * rows * columns + squares * columns**2) for rows, columns in shapes.values()), default=0)
    resident = sum(size for name, (_, _, size) in tensors.items() if name.removesuffix(".weight") not in shapes)
    hidden = min((columns for _, columns in shapes.values()), default=0)
    states = 2 * 2 * tokens * hidden * (2 if method in TWOFOLD else 1)
    return LIBRARIES + solve + resident + states + 4 * longest * hidden
