"""Open a model for the walk, so that the weights of only one layer are in memory at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faq_tui.core.models.dense import FolderTensors, load_dense
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.headers import tensors_of
from faq_tui.core.models.stack import Stack, find_stack
from faq_tui.core.models.tensor_map import TensorMap
from faq_tui.core.models.text_model import empty_model


def open_stack(folder: Path, trust_remote_code: bool) -> Stack:
    """The decoder layers of the model in `folder`, on the CPU.

    A layer is read when the walk asks for it. If a parameter of the model has no place in the files, the whole model
    is read at once. Raises UnsupportedModel if the model is not a plain stack of layers.
    """
    model, stack = _shell(folder, trust_remote_code)
    if _unread(stack):
        whole = load_dense(folder, "auto", "cpu", trust_remote_code)
        unfuse_experts(whole)
        read = find_stack(whole)
        read.places = stack.places
        return read
    source = _Source(stack, FolderTensors(folder), getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    source.load_rest()
    stack.load = source.load_layer
    return stack


def open_shell(folder: Path, trust_remote_code: bool) -> Stack:
    """The decoder layers of the model in `folder` without weights. Only headers of files are read.

    Raises UnsupportedModel if the model is not a plain stack of layers.
    """
    return _shell(folder, trust_remote_code)[1]


def _shell(folder: Path, trust_remote_code: bool) -> tuple[Any, Stack]:
    """The model without weights, and its layers. Buffers have their values, and experts are single matrices."""
    model = empty_model(folder, trust_remote_code)
    places = TensorMap.of(model, tensors_of(folder))
    unfuse_experts(model)
    stack = find_stack(model)
    stack.places = places
    return model, stack


def _unread(stack: Stack) -> str:
    """The name of a parameter of the model's base that has no place in the files; "" if all have one."""
    assert stack.places is not None
    prefix = _prefix(stack)
    names = (f"{prefix}{key}" for key in stack.base.state_dict())
    return next((name for name in names if name not in stack.places.places), "")


def _prefix(stack: Stack) -> str:
    """The prefix that the names of the base's parameters have in the model, such as `model.`."""
    inner = next(name for name, module in stack.base.named_modules() if module is stack.layers)
    return stack.name.removesuffix(inner)


class _Source:
    """Reads tensors into the empty parameters of a stack, in the dtype of the config."""

    def __init__(self, stack: Stack, tensors: FolderTensors, exact: Any) -> None:
        """Parameters whose names contain a word of `exact` keep the dtype of the file."""
        config = stack.base.config
        self._stack, self._tensors, self._exact = stack, tensors, tuple(exact)
        self._dtype = getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)

    def load_rest(self) -> None:
        """Load all parameters of the base that are in no layer."""
        prefix, layers = _prefix(self._stack), f"{self._stack.name}."
        names = {key: f"{prefix}{key}" for key in self._stack.base.state_dict()}
        state = self._read({key: name for key, name in names.items() if not name.startswith(layers)})
        self._stack.base.load_state_dict(state, strict=False, assign=True)

    def load_layer(self, index: int) -> Any:
        layer = self._stack.layers[index]
        state = self._read({key: f"{self._stack.name}.{index}.{key}" for key in layer.state_dict()})
        layer.load_state_dict(state, assign=True)
        return layer

    def _read(self, names: dict[str, str]) -> dict[str, Any]:
        """The values of parameters. `names` maps keys of the result to names in the model."""
        assert self._stack.places is not None
        shared: dict[str, Any] = {}  # tensors of which several parameters are parts
        state = {}
        for key, name in names.items():
            place = self._stack.places.places[name]
            tensor = shared.get(place.tensor)
            if tensor is None:
                cast = self._dtype is not None and not any(word in name for word in self._exact)
                read = self._tensors.read
                tensor = self._tensors.read_as(place.tensor, self._dtype) if cast else read(place.tensor)
            if not place.whole:
                shared[place.tensor] = tensor
            state[key] = place.of(tensor)
        return state
