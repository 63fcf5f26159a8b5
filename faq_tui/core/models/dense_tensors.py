"""Read the dense tensors of a model folder one by one. The folder's weights may have any supported format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any


class DenseTensors(ABC):
    """Dense tensors by name. The keys of `files` are the names of all tensors."""

    files: Mapping[str, Any]
    decoded: Container[str] = frozenset()  # the names of the tensors that are computed from codes

    @abstractmethod
    def read(self, name: str) -> Any:
        """The tensor `name`. A tensor that is computed from codes is float32. Other tensors keep the file's dtype."""

    def read_as(self, name: str, dtype: Any) -> Any:
        """The tensor `name`, cast to `dtype` if it holds floating-point numbers."""
        tensor = self.read(name)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor


class StateTensors(DenseTensors):
    """The tensors of a state dict, which are all in memory."""

    def __init__(self, state: Mapping[str, Any], decoded: Container[str] = frozenset()) -> None:
        self.files, self.decoded = state, decoded

    def read(self, name: str) -> Any:
        return self.files[name]


class DecodedTensors(DenseTensors):
    """The tensors of a folder with quantized weights.

    `stored` reads the folder's files. `plain` has the names of the tensors that are not quantized. `decoded` maps the
    name of each quantized tensor to a function that computes the tensor in float32 from its codes.
    """

    def __init__(self, stored: DenseTensors, plain: Iterable[str], decoded: Mapping[str, Callable[[], Any]]) -> None:
        self._stored, self._decoded = stored, decoded
        self.decoded = frozenset(decoded)
        self.files = {**dict.fromkeys(plain), **dict.fromkeys(decoded)}

    def read(self, name: str) -> Any:
        decode = self._decoded.get(name)
        return self._stored.read(name) if decode is None else decode()
