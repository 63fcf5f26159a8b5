"""Decide before a run whether faq-tui's own engine, the walk through the layers, can quantize a target."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.later_tokens import ROW, kind_of
from faq_tui.core.models.layer_source import head_without_weights, open_shell
from faq_tui.core.models.model_call import refusal_of_call
from faq_tui.core.models.stack import Stack, UnsupportedModel, capture
from faq_tui.core.models.trial_weights import give_weights
from faq_tui.core.quantizing.library_definitions import is_advisable
from faq_tui.core.quantizing.sequential.groups import (
    EXPERT,
    SEPARATE_EXPERTS,
    has_separate_experts,
    linears,
    uneven_tokens,
)

# In supported architectures, Linear modules hold at least 92% of the weights of the layers.
LEAST_SHARE = 0.5


def walk_refusal(folder: Path, trust_remote_code: bool, packed: bool, weighted: bool = False) -> str:
    """The reason why the walk cannot quantize this target; "" if there is none. Only headers of files are read.

    Raises UsageError if the files do not fit config.json.

    `packed` is true for a method that writes packed weights. `weighted` is true for a recipe with token weights.
    """
    try:
        stack = open_shell(folder, trust_remote_code)
    except UnsupportedModel as error:
        return error.reason
    except UsageError:
        raise  # the files are broken, so no other engine can quantize them, either
    except FaqError as error:
        return str(error)
    if head := head_without_weights(stack):
        raise UsageError(f"{folder} has no tensor for {head}: fetch the model again")
    why = refusal_of_stack(stack, packed) or refusal_of_call(stack)
    return why or (refusal_of_weights(stack) if weighted else "")


def refusal_of_stack(stack: Stack, packed: bool) -> str:
    """The reason why the modules of this stack cannot be quantized and written; "" if there is none."""
    assert stack.places is not None
    names = [f"{stack.name}.{index}.{name}" for index, layer in enumerate(stack.layers) for name in linears(layer)]
    return stack.places.refusal(names, packed) or refusal_of_share(stack)


def refusal_of_weights(stack: Stack) -> str:
    """The reason why the tokens of this model cannot be weighted; "" if no reason is found.

    The base of the model must have weights. A copy of one layer of each kind is called with random weights.
    """
    import torch

    if any(has_separate_experts(layer) for layer in stack.layers):
        return SEPARATE_EXPERTS

    def note(name: str, sizes: dict[str, int]) -> Callable[[Any, tuple[Any, ...]], None]:
        def hook(module: Any, args: tuple[Any, ...]) -> None:
            sizes.setdefault(name, args[0].numel() // module.in_features)

        return hook

    kinds = {kind_of(layer): index for index, layer in reversed(list(enumerate(stack.layers)))}
    try:
        inputs = capture(stack, [[ROW]], "cpu", None, "cpu", lambda: None)
        for index in sorted(kinds.values()):  # some layers use values that earlier layers left in a container
            layer, sizes = copy.deepcopy(stack.layers[index]), dict[str, int]()  # the tokens in a module's first call
            give_weights(layer)
            for name, module in linears(layer).items():
                if not EXPERT.search(name):
                    module.register_forward_pre_hook(note(name, sizes))
            with torch.no_grad():
                layer(inputs.hidden[0], **inputs.of(0, index))
            for name, size in sizes.items():
                if size != len(ROW):
                    return uneven_tokens(name)
    except Exception:  # noqa: BLE001  this call is only a trial; the real call reports its own errors
        return ""
    return ""


def refusal_of_share(stack: Stack) -> str:
    """Say that most weights of the layers are in an unsupported form, such as unusual experts; "" if they are not.

    An artefact without these weights would count as quantized, but most of its weights would not be.
    """
    left = unquantizable(stack)
    every = sum(weight.numel() for weight in stack.layers.parameters() if weight.dim() > 1)
    share = 1 - sum(left.values()) / max(1, every)
    if share >= LEAST_SHARE:
        return ""
    return (
        f"faq-tui can quantize only {share:.0%} of the weights in this model's layers, because "
        f"{max(left, key=lambda name: left[name])} and others have an unsupported form"
    )


def unquantizable(stack: Stack) -> dict[str, int]:
    """The size of each weight in the layers that has at least two axes, but belongs to no module to quantize."""
    own = {id(module.weight) for layer in stack.layers for module in linears(layer).values()}
    return {
        f"{stack.name}.{name}": weight.numel()
        for name, weight in stack.layers.named_parameters()
        if weight.dim() > 1 and id(weight) not in own
    }


def other_method(folder: Path, trust_remote_code: bool, packed: bool) -> str:
    """Advice for a target that the walk cannot quantize: it names the methods that can quantize the target."""
    if packed and not walk_refusal(folder, trust_remote_code, packed=False):
        return "use spqr, which writes dense weights"
    if is_advisable(read_config(folder)):
        return 'use awq, or gptq with engine = "gptqmodel", for this model'
    return "faq-tui has no method for this model"
