"""Find the modules of a model whose inputs are measured, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.experts import is_unfused

EXPERTS = "experts"
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


def find_module_refs(model: Any, modules: Sequence[str]) -> dict[ModuleRef, Any]:
    """Find the torch modules by the last part of their names, which must be in `modules`.

    The modules have the same order as in the model.

    Modules inside experts are left out, because they get only some of the tokens. If `modules` contains the word
    `experts`, the fused experts are added. If several chosen modules share an input, for example the q, k and v
    projections, only the first of them is returned. Raises UsageError if the model has none of the `modules`.
    """
    suffixes = _without_twins(modules)
    refs: dict[ModuleRef, Any] = {}
    for name, module in model.named_modules():
        match = NUMBERED.fullmatch(name)
        if match and name.rpartition(".")[2] in suffixes and not OF_EXPERT.search(name):
            refs[ModuleRef(int(match[1]), match[2])] = module
    if not refs and not (EXPERTS in modules and any(find_experts(model))):
        raise UsageError(
            f"activations.modules: {type(model).__name__} has no {', '.join(modules)} in its layers: "
            "give the last part of a module's name"
        )
    return refs


def find_experts(model: Any) -> Iterator[tuple[int, str, Any]]:
    """Yield (layer, name inside the layer, module) for every block of fused experts."""
    for name, module in model.named_modules():
        match = NUMBERED.fullmatch(name)
        fused = getattr(module, "gate_up_proj", None) is not None and hasattr(module, "num_experts")
        if match and (fused or is_unfused(module)):
            yield int(match[1]), match[2], module


def find_single_experts(model: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield (layer, number of the expert, module) for every expert that is a separate module.

    Some models that come with their own code have experts that are separate modules.
    """
    for name, module in model.named_modules():
        match = NUMBERED.fullmatch(name)
        block, _, number = name.rpartition(".")
        if match and number.isdecimal() and block.endswith(".experts") and not is_unfused(model.get_submodule(block)):
            yield int(match[1]), int(number), module


def _without_twins(modules: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for name in dict.fromkeys(modules):
        twins = next((group for group in SHARED_INPUT if name in group), (name,))
        if not any(twin in kept for twin in twins):
            kept.append(name)
    return [name for name in kept if name != EXPERTS]
