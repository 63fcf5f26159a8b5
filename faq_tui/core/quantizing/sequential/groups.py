"""Group the modules of a layer that are quantized together.

In the order of quantization, the groups are [q,k,v], [o], [gate,up] and [down].
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faq_tui.core.models.experts import is_unfused
from faq_tui.core.models.headers import KEPT

EXPERT = re.compile(r"\.\d+\.")  # matches the number of an expert, for example in mlp.experts.17.up_proj


@dataclass
class ModuleGroup:
    """Modules that are quantized together. `inputs` maps each module to the first module with the same input."""

    modules: list[str]
    inputs: dict[str, str]

    @property
    def experts(self) -> bool:
        return any(EXPERT.search(name) for name in self.modules)


# The reason why a recipe with token weights is refused if the experts of the model are separate modules.
SEPARATE_EXPERTS = "the model's own code chooses the tokens of each expert, so these tokens cannot be weighted"


def uneven_tokens(module: str) -> str:
    """The reason why a recipe with token weights is refused if `module` has more or fewer inputs than its layer."""
    return f"{module} does not get the same tokens as its layer, so the tokens cannot be weighted"


def place_of_expert(module: str) -> tuple[str, int]:
    """The block of experts to which a module belongs, and the number of the expert in the block."""
    match = EXPERT.search(module)
    assert match is not None, module
    return module[: match.start()], int(match[0].strip("."))


def linears(layer: Any) -> dict[str, Any]:
    """All Linear modules of `layer` except routers."""
    import torch

    return {
        name: module
        for name, module in layer.named_modules()
        if isinstance(module, torch.nn.Linear) and not KEPT.search(name)
    }


def expert_blocks(layer: Any) -> list[str]:
    """The names of the modules that hold the experts of `layer`."""
    return list(dict.fromkeys(place_of_expert(name)[0] for name in linears(layer) if EXPERT.search(name)))


def has_separate_experts(layer: Any) -> bool:
    """True if the experts of `layer` are modules of the model's own code, not the result of `unfuse_experts`."""
    return not all(is_unfused(layer.get_submodule(block)) for block in expert_blocks(layer))


def find_groups(layer: Any, run: Callable[[], Any]) -> list[ModuleGroup]:
    """Find the groups of `layer`. `run` must call the layer once.

    Modules with the same input tensor are in the same group and share a Hessian.

    Experts are grouped by the names of their modules instead, because the tokens of a single row reach only some of
    the experts.

    If the layer calls a module several times, only the first call counts. So the module is quantized once.
    """
    modules = linears(layer)
    # Maps each called module to its input. The dict keeps the tensors alive, so that no two have the same address.
    seen: dict[str, Any] = {}

    def note(name: str) -> Callable[[Any, tuple[Any, ...]], None]:
        def hook(_module: Any, args: tuple[Any, ...]) -> None:
            seen.setdefault(name, args[0])

        return hook

    hooks = [module.register_forward_pre_hook(note(name)) for name, module in modules.items()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    single: list[tuple[Any, ModuleGroup]] = []
    for name, tensor in seen.items():
        if EXPERT.search(name):
            continue
        group = next((group for other, group in single if other is tensor), None)
        if group is None:
            single.append((tensor, ModuleGroup([name], {name: name})))
        else:
            group.modules.append(name)
            group.inputs[name] = group.modules[0]
    groups = [group for _, group in single]
    return [*groups, *_expert_groups([name for name in modules if EXPERT.search(name)])]


def _expert_groups(names: list[str]) -> list[ModuleGroup]:
    """Return two groups of the experts' modules.

    The first group has the gate and up projections. The second group has the down projections, because their inputs
    depend on the first group.
    """
    first = [name for name in names if not name.endswith((".down_proj", ".w2"))]
    share: dict[str, str] = {}  # maps each expert to the first of its modules
    groups = [
        ModuleGroup(first, {name: share.setdefault(name.rpartition(".")[0], name) for name in first}),
        ModuleGroup(rest := [name for name in names if name not in set(first)], {name: name for name in rest}),
    ]
    return [group for group in groups if group.modules]
