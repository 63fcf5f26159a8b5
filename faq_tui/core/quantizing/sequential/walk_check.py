"""Decide before a run whether faq-tui's own engine, the walk through the layers, can quantize a target."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.layer_source import open_shell
from faq_tui.core.models.stack import UnsupportedModel
from faq_tui.core.quantizing.library_definitions import is_advisable
from faq_tui.core.quantizing.sequential.groups import SEPARATE_EXPERTS, has_separate_experts, linears


def walk_refusal(folder: Path, trust_remote_code: bool, packed: bool, weighted: bool = False) -> str:
    """The reason why the walk cannot quantize this target; "" if there is none. Only headers of files are read.

    `packed` is true for a method that writes packed weights. `weighted` is true for a recipe with token weights.
    """
    try:
        stack = open_shell(folder, trust_remote_code)
    except UnsupportedModel as error:
        return error.reason
    except FaqError as error:
        return str(error)
    assert stack.places is not None
    names = [f"{stack.name}.{index}.{name}" for index, layer in enumerate(stack.layers) for name in linears(layer)]
    if weighted and any(has_separate_experts(layer) for layer in stack.layers):
        return SEPARATE_EXPERTS
    return stack.places.refusal(names, packed)


def other_method(folder: Path, trust_remote_code: bool, packed: bool) -> str:
    """Advice for a target that the walk cannot quantize: it names the methods that can quantize the target."""
    if packed and not walk_refusal(folder, trust_remote_code, packed=False):
        return "use spqr, which writes dense weights"
    if is_advisable(read_config(folder)):
        return 'use awq, or gptq with engine = "gptqmodel", for this model'
    return "faq-tui has no method for this model"
