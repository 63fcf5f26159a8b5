"""Change loaded values as transformers does at the end of `from_pretrained`.

After loading, transformers calls `_init_weights` of the model's class for every module, to fill the parameters that
the files lack. All other parameters have a mark that protects them. In some classes, `_init_weights` also writes to a
part of a protected parameter: Youtu sets the embedding of the padding token to zero, and Zaya sets the last balancing
bias of a router to -1. A model that is evaluated layer by layer must have the same values.

The quantizers do not call this module: they quantize the values in the files, which servers read, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

MARK = "_is_hf_initialized"
_ONE_AT_A_TIME = threading.Lock()  # the guard below replaces functions of torch while it is active


def end_loading(model: Any, modules: Iterable[Any]) -> None:
    """Let transformers change the loaded values of `modules`, which are parts of `model`, the model without its head.

    Modules without loaded values are left out.
    """
    import torch
    from transformers import initialization

    if not hasattr(model, "_initialize_weights"):
        return  # not a class of transformers
    loaded = []
    for module in modules:
        values = [*module.parameters(recurse=False), *_stored_buffers(module)]
        if values and not any(one.is_meta for one in values):
            loaded.append(module)
            for one in values:
                setattr(one, MARK, True)
    with _ONE_AT_A_TIME, torch.no_grad(), initialization.guard_torch_init_functions():
        for module in reversed(loaded):  # as in transformers, a module comes after its parts
            setattr(module, MARK, False)  # this may be the second time that the layer is loaded
            model._initialize_weights(module, model.is_custom_code())


def _stored_buffers(module: Any) -> list[Any]:
    """The buffers for which the files have tensors."""
    others = module._non_persistent_buffers_set
    return [one for name, one in module._buffers.items() if one is not None and name not in others]
