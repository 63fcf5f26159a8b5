"""Check whether a library has quantized and packed the matrices of the target's layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.headers import quantized_shapes
from faq_tui.core.models.layer_source import open_shell
from faq_tui.core.models.stack import Stack
from faq_tui.core.quantizing.sequential.groups import linears
from faq_tui.core.quantizing.sequential.walk_check import refusal_of_share, unquantizable

Shapes = Mapping[str, tuple[int, int]]
MOST_LEFT = 0.05  # this share of the weights may be left unquantized, for example the small gates


def layer_matrices(target: Path, trust_remote_code: bool) -> Shapes:
    """Maps the name of each matrix that quantization may change to (out_features, in_features)."""
    return _matrices(target, _shell(target, trust_remote_code))


def _shell(target: Path, trust_remote_code: bool) -> Stack | None:
    """The layers without weights; None if the model is not a plain stack of layers."""
    try:
        return open_shell(target, trust_remote_code)
    except FaqError:
        return None


def _matrices(target: Path, stack: Stack | None) -> Shapes:
    if stack is None:
        return quantized_shapes(target)
    return {
        stack.stored(index, name): (module.out_features, module.in_features)
        for index, layer in enumerate(stack.layers)
        for name, module in linears(layer).items()
    }


def check_packed(target: Path, trust_remote_code: bool, packed: Shapes) -> None:
    """Raise FaqError if more than `MOST_LEFT` of the weights in the target's layers are not packed.

    A library that does not know the experts of a model leaves them unquantized without an error.
    """
    stack = _shell(target, trust_remote_code)
    expected = _matrices(target, stack)
    total, done = (sum(out * columns for out, columns in one.values()) for one in (expected, packed))
    # The weights that `layer_matrices` leaves out count only if they are most of the weights.
    others = unquantizable(stack) if stack is not None and refusal_of_share(stack) else {}
    total += sum(others.values())
    if done < (1 - MOST_LEFT) * total:
        left = next((name for name in [*expected, *others] if name not in packed), "some modules")
        raise FaqError(
            f"GPTQModel quantized only {done / total:.0%} of the weights in this model's layers and left out {left}: "
            "use another method for this model"
        )
