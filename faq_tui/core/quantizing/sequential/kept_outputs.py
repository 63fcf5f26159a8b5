"""Keep the outputs of a layer's modules, so that a later pass through the layer need not compute them again.

The engine runs a layer once for each group of modules, to record the inputs of the group. In all later passes, the
part of the layer before this group gets the same inputs and has the same weights, so it computes the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class KeptOutputs:
    """The outputs of the direct children of a layer, and of its Linear modules.

    An output is kept only if all weights of the module, and of the modules before it in the pass, are quantized
    already, so that the output cannot change any more. A kept output is discarded if other code has changed it in
    place. If a module changes its inputs in place, its output is not kept, because later code may read these inputs.
    The outputs take at most `room` bytes. A module without a weight matrix, such as a normalization, is computed
    again in each pass: it needs little time, and its output would take room that others need more.

    `blocks` has the names of modules whose output is kept as a whole, so that the outputs of the Linear modules in
    them are not kept. A GPU allocates memory for each output, and keeping the many small outputs of experts did not
    make the walk faster.
    """

    def __init__(self, layer: Any, linears: Mapping[str, Any], room: int, blocks: Iterable[str] = ()) -> None:
        whole = {name: layer.get_submodule(name) for name in blocks}
        single = {name: module for name, module in linears.items() if not _inside(whole, name)}
        children = {name: child for name, child in layer.named_children() if _has_matrix(child)}
        outer = {**children, **whole}
        self._modules = {**outer, **single}
        # For each module that may contain others: the modules inside it.
        self._inner = {name: [one for one in self._modules if one.startswith(f"{name}.")] for name in outer}
        # For each module: the Linear modules whose weights it uses.
        self._uses = {name: {name} for name in single} | {
            name: {one for one in linears if f"{one}.".startswith(f"{name}.")} for name in outer
        }
        self._unsolved = set(linears)
        self._room = room
        self._kept: dict[tuple[int, str], _Output] = {}
        self._repeated: set[str] = set()  # modules that a pass calls more than once
        self._called: set[str] = set()  # modules that the current pass has called
        self._final = True  # False after the current pass has used a weight that is not yet quantized

    def solved(self, name: str) -> None:
        """Record that the weight of a Linear module has its final value."""
        self._unsolved.discard(name)

    @contextmanager
    def during(self, batch: int) -> Iterator[None]:
        """Use and keep the outputs of `batch`.

        The `with` block must run the layer once; an exception may end the block early.
        """
        if self._room <= 0 and not self._kept:
            yield
            return
        self._called.clear()
        self._final = True
        before = {name: module.__dict__.get("forward") for name, module in self._modules.items()}
        try:
            for name, module in self._modules.items():
                module.forward = self._forward(batch, name, module.forward)
            yield
        finally:
            for name, module in self._modules.items():
                del module.forward
                if before[name] is not None:
                    module.forward = before[name]

    def _forward(self, batch: int, name: str, compute: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **named: Any) -> Any:
            if name in self._called:
                self._repeated.add(name)
                for key in [key for key in self._kept if key[1] == name]:
                    self._discard(key)
            self._called.add(name)
            kept = self._kept.get((batch, name))
            if kept is not None and kept.unchanged:
                return kept.value
            inputs = _Versions((*args, *named.values()))
            value = compute(*args, **named)
            self._final = self._final and self._uses[name].isdisjoint(self._unsolved)
            if inputs.unchanged:
                self._keep(batch, name, value)
            else:
                self._discard((batch, name))
            return value

        return forward

    def _keep(self, batch: int, name: str, value: Any) -> None:
        self._discard((batch, name))
        if not self._final or name in self._repeated:
            return
        output = _Output.of(value)
        # If this output is reused, the modules inside it are not called, so their outputs make room for it.
        inner = [(batch, other) for other in self._inner.get(name, ()) if (batch, other) in self._kept]
        if output is None or output.size > self._room + sum(self._kept[key].size for key in inner):
            return
        for key in inner:
            self._discard(key)
        self._kept[batch, name] = output
        self._room -= output.size

    def _discard(self, key: tuple[int, str]) -> None:
        output = self._kept.pop(key, None)
        self._room += 0 if output is None else output.size


def _inside(blocks: Iterable[str], name: str) -> bool:
    return any(name.startswith(f"{block}.") for block in blocks)


def _has_matrix(module: Any) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters())


class _Versions:
    """The numbers of changes that torch has counted for those of `values` that are tensors."""

    def __init__(self, values: Iterable[Any]) -> None:
        import torch

        self._seen = [(one, one._version) for one in values if torch.is_tensor(one) and not one.is_inference()]

    @property
    def unchanged(self) -> bool:
        return all(tensor._version == version for tensor, version in self._seen)


class _Output:
    """The output of a module: a tensor, or a tuple of tensors and Nones. `size` is the memory that it holds."""

    def __init__(self, value: Any, tensors: list[Any]) -> None:
        self.value = value
        # A part of a tensor holds the memory of the whole tensor.
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
        self.size = sum(storages.values())
        self._versions = _Versions(tensors)

    @classmethod
    def of(cls, value: Any) -> _Output | None:
        """Returns None if the value has another form, or if torch does not count the changes of its tensors."""
        import torch

        parts = value if isinstance(value, tuple) else (value,)
        tensors = [part for part in parts if part is not None]
        if not all(torch.is_tensor(tensor) and not tensor.is_inference() for tensor in tensors):
            return None
        return cls(value, tensors)

    @property
    def unchanged(self) -> bool:
        return self._versions.unchanged
