"""Find the modules of a model whose inputs are measured, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.experts import is_unfused

EXPERTS = "experts"
ATTENTION_OUTPUT = "o_proj"
# Only blocks with a name that matches one of these patterns are searched for a layer's output projection.
BLOCKS = (re.compile(r"attn|attention"), re.compile(r"mixer|mamba|ssm"))
# All modules of a group have the same input, so this input is measured only once.
SHARED_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
OF_EXPERT = re.compile(r"\.experts\.\d+\.")  # a module with this part in its name is inside an unfused expert
NUMBERED = re.compile(r"(?:^|.*?\.)(\d+)\.(.+)")


@dataclass(frozen=True, order=True)
class ModuleRef:
    """Names the input of one module, or of all experts of one layer."""

    layer: int
    module: str  # name inside the layer, such as self_attn.o_proj or mlp.experts.down_proj

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.module}"


def decoder_of(model: Any) -> Any:
    """The part of `model` that reads text: its decoder without the head."""
    return model.get_decoder() if hasattr(model, "get_decoder") else model


def _attention_outputs(model: Any) -> dict[ModuleRef, Any]:
    """The output projection of each layer's attention: its last linear module whose output has the hidden size.

    If no layer has attention, the projections of the state-space blocks are returned.
    """
    for blocks in BLOCKS:
        refs: dict[ModuleRef, Any] = {}
        for name, module in decoder_of(model).named_modules():
            match = NUMBERED.fullmatch(name)
            if match and blocks.search(match[2]) and _outputs(module) == model.config.get_text_config().hidden_size:
                earlier = [ref for ref in refs if ref.layer == int(match[1])]
                for ref in earlier:
                    del refs[ref]
                refs[ModuleRef(int(match[1]), match[2])] = module
        if refs:
            return refs
    return {}


def _outputs(module: Any) -> int | None:
    """The number of outputs of a linear module; None for other modules."""
    weight: Any = getattr(module, "weight", None)
    if getattr(weight, "dim", int)() != 2 or "Embedding" in type(module).__name__:
        return None
    swapped = type(module).__name__ == "Conv1D"  # the older GPT models have linear modules with swapped axes
    return int(weight.shape[1 if swapped else 0])


def find_module_refs(model: Any, modules: Sequence[str]) -> dict[ModuleRef, Any]:
    """Find the torch modules that have one of `modules` as the last part of their name.

    The modules have the same order as in the model.

    Modules inside experts are left out, because they get only some of the tokens. If `modules` contains the word
    `experts`, the fused experts are added. If several chosen modules share an input, for example the q, k and v
    projections, only the first of them is returned. The name `o_proj` stands for the output projection of the
    attention, which has another name in some models. Only the model's decoder is searched. Raises UsageError if none
    of the `modules` is found.
    """
    suffixes = _without_twins(modules)
    refs: dict[ModuleRef, Any] = {}
    for name, module in decoder_of(model).named_modules():
        match = NUMBERED.fullmatch(name)
        if match and name.rpartition(".")[2] in suffixes and not OF_EXPERT.search(name):
            refs[ModuleRef(int(match[1]), match[2])] = module
    if ATTENTION_OUTPUT in suffixes and not any(ref.module.endswith(ATTENTION_OUTPUT) for ref in refs):
        refs |= _attention_outputs(model)
    if not refs and not (EXPERTS in modules and any(find_experts(model))):
        if tuple(modules) == (ATTENTION_OUTPUT,):
            raise UsageError(f"{type(model).__name__} has no output projection in its attention that can be measured")
        raise UsageError(
            f"activations.modules: {type(model).__name__} has no {', '.join(modules)} in its layers: "
            "give the last part of a module's name"
        )
    return refs


def find_experts(model: Any) -> Iterator[tuple[int, str, Any]]:
    """Yield (layer, name inside the layer, module) for every block of fused experts."""
    for name, module in decoder_of(model).named_modules():
        match = NUMBERED.fullmatch(name)
        fused = getattr(module, "gate_up_proj", None) is not None and hasattr(module, "num_experts")
        if match and (fused or is_unfused(module)):
            yield int(match[1]), match[2], module


def find_single_experts(model: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield (layer, number of the expert, module) for every expert that is a separate module.

    Some models that come with their own code have experts that are separate modules.
    """
    for name, module in decoder_of(model).named_modules():
        match = NUMBERED.fullmatch(name)
        block, _, number = name.rpartition(".")
        if (
            match
            and number.isdecimal()
            and block.endswith(".experts")
            and not is_unfused(decoder_of(model).get_submodule(block))
        ):
            yield int(match[1]), int(number), module


def _without_twins(modules: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for name in dict.fromkeys(modules):
        twins = next((group for group in SHARED_INPUT if name in group), (name,))
        if not any(twin in kept for twin in twins):
            kept.append(name)
    return [name for name in kept if name != EXPERTS]
