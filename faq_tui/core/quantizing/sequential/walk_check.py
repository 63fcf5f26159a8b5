"""Decide before a run whether faq-tui's own engine, the walk through the layers, can quantize a target."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.layer_source import head_without_weights, open_shell
from faq_tui.core.models.model_call import refusal_of_call
from faq_tui.core.models.stack import Stack, UnsupportedModel
from faq_tui.core.quantizing.library_definitions import is_advisable
from faq_tui.core.quantizing.sequential.groups import SEPARATE_EXPERTS, has_separate_experts, linears

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
    if weighted and any(has_separate_experts(layer) for layer in stack.layers):
        return SEPARATE_EXPERTS
    if head := head_without_weights(stack):
        raise UsageError(f"{folder} has no tensor for {head}: fetch the model again")
    return refusal_of_stack(stack, packed) or refusal_of_call(stack)


def refusal_of_stack(stack: Stack, packed: bool) -> str:
    """The reason why the modules of this stack cannot be quantized and written; "" if there is none."""
    assert stack.places is not None
    names = [f"{stack.name}.{index}.{name}" for index, layer in enumerate(stack.layers) for name in linears(layer)]
    return stack.places.refusal(names, packed) or refusal_of_share(stack)


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
