"""Each layer's output: how far a quantized model has drifted from the unquantized one, on the same text.

error of a layer = ||h_quantized - h||_F / ||h||_F over all tokens of all rows but each row's first, whose state is
often a thousand times larger than all others. The inputs of a layer carry the errors of those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError

Seen = Callable[[int, int, Any], None]  # layer, first token of the row among all, states [tokens, hidden]


def layers_of(model: Any) -> Sequence[Any]:
    """The decoder's layers, first to last. Raises FaqError if they cannot be told."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    if not lists:
        raise FaqError(f"{type(model).__name__} has no list of {count} layers: their errors cannot be measured")
    return list(lists[0])


def write_reference(model: Any, rows: Sequence[Sequence[int]], path: Path, cancel: CancelToken) -> None:
    """Keep every layer's output of the unquantized model: a file of float32 [layers, tokens, hidden]."""
    import numpy as np

    shape = _shape(model, rows)
    kept = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)

    def keep(layer: int, start: int, states: Any) -> None:
        kept[layer, start : start + len(states)] = states.float().cpu().numpy()

    _pass(model, rows, keep, cancel)
    kept.flush()


def layer_errors(model: Any, rows: Sequence[Sequence[int]], path: Path, cancel: CancelToken) -> list[float]:
    """The error of each layer against the file that `write_reference` wrote from the same rows."""
    import numpy as np
    import torch

    kept = np.load(path, mmap_mode="r")
    if kept.shape != _shape(model, rows):
        raise FaqError(f"{type(model).__name__} has other layers than the unquantized model")
    sums = np.zeros((2, len(kept)))

    def compare(layer: int, start: int, states: Any) -> None:
        reference = torch.from_numpy(np.array(kept[layer, start : start + len(states)])).double()
        sums[0, layer] += float((states.cpu().double() - reference).square().sum())
        sums[1, layer] += float(reference.square().sum())

    _pass(model, rows, compare, cancel)
    return [float(error) for error in np.sqrt(sums[0] / sums[1])]


def _shape(model: Any, rows: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    config = model.config.get_text_config()
    return config.num_hidden_layers, sum(len(row) - 1 for row in rows), config.hidden_size


def _pass(model: Any, rows: Sequence[Sequence[int]], see: Seen, cancel: CancelToken) -> None:
    import torch

    body = model.get_decoder() if hasattr(model, "get_decoder") else model
    start = 0
    with _hooked(model, lambda layer, states: see(layer, start, states[0, 1:])), torch.inference_mode():
        for row in rows:
            cancel.check()
            body(input_ids=torch.tensor([list(row)], device=model.device), use_cache=False)
            start += len(row) - 1


@contextmanager
def _hooked(model: Any, see: Callable[[int, Any], None]) -> Iterator[None]:
    def hook(layer: int) -> Callable[..., None]:
        return lambda _module, _args, out: see(layer, out[0] if isinstance(out, tuple) else out)

    hooks = [module.register_forward_hook(hook(layer)) for layer, module in enumerate(layers_of(model))]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()
