"""Open a model that is read layer by layer. Only the weights of one layer at a time are in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.dense import FolderTensors, load_dense
from faq_tui.core.models.end_of_loading import end_loading
from faq_tui.core.models.experts import UnknownExperts, unfuse_experts
from faq_tui.core.models.headers import Tensors, tensors_of
from faq_tui.core.models.stack import Stack, UnsupportedModel, find_stack
from faq_tui.core.models.tensor_map import WEIGHT, TensorMap
from faq_tui.core.models.text_model import empty_model


def open_stack(folder: Path, trust_remote_code: bool) -> Stack:
    """The decoder layers of the model in `folder`, on the CPU.

    `Stack.load` reads one layer at a time, with the values in the files. If the files have no tensor for a parameter
    of the model, the whole model is read at once. Raises UnsupportedModel if the model is not a plain stack of
    layers.
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


def open_streamed(folder: Path, trust_remote_code: bool, tensors: Any, dtype: Any) -> Stack:
    """The decoder layers of the model in `folder`, with weights of the torch dtype `dtype` on the CPU.

    `tensors` is a `FolderTensors` or another object that reads dense tensors by name. The embedding, the final norm
    and lm_head are read at once. Only `Stack.load` reads layers. The values are those of a model that transformers
    loads. Raises UnsupportedModel if the layers cannot be read one at a time.
    """
    model, stack = _shell(folder, trust_remote_code, dtype, tensors)
    source = _Source(stack, tensors, getattr(model, "_keep_in_fp32_modules_strict", None) or (), dtype)
    if missing := missing_tensor(stack):
        raise UnsupportedModel(missing)
    source.load_rest()
    inside = set(stack.layers.modules())
    end_loading(stack.base, (module for module in stack.base.modules() if module not in inside))
    source.load_head()

    def load(index: int) -> Any:
        layer = source.load_layer(index)
        end_loading(stack.base, layer.modules())
        return layer

    stack.load = load
    return stack


def open_shell(folder: Path, trust_remote_code: bool) -> Stack:
    """The decoder layers of the model in `folder` without weights. Only headers of files are read.

    Raises UnsupportedModel if the model is not a plain stack of layers.
    """
    return _shell(folder, trust_remote_code)[1]


def missing_tensor(stack: Stack) -> str:
    """Say that the files lack a tensor without which the model cannot be read layer by layer; "" if they do not."""
    name = _unread(stack) or _Source(stack, None, ()).missing_head()
    return f"the files of {type(stack.model).__name__} have no tensor named {name}" if name else ""


def head_without_weights(stack: Stack) -> str:
    """A parameter of lm_head for which the files have no tensor, although it is not the embedding; otherwise "".

    If the map of the files lacks other parameters, too, the result is "", because the files may be complete.
    """
    return "" if _unread(stack) else _Source(stack, None, ()).missing_head()


def linear_names(folder: Path, trust_remote_code: bool) -> dict[str, str]:
    """Maps the name in memory of each Linear module of the whole model to its name in the files.

    Modules outside the layers are in the result, too: the head, projectors, and vision or audio towers. For some
    families, such as Llama 4 and Qwen 3.5, the model is only the text part. The matrices of the other parts are in
    the result with their names in the files. Raises UnsupportedModel if the model is not a plain stack of layers.
    """
    import torch

    model, stack = _shell(folder, trust_remote_code)
    assert stack.places is not None
    read = {tensor for place in stack.places.places.values() for tensor in place.tensors}
    unread = {
        name.removesuffix(WEIGHT)
        for name, (_, shape, _) in tensors_of(folder).items()
        if name.endswith(WEIGHT) and len(shape) == 2 and name not in read
    }
    return {name: name for name in unread} | {
        name: stack.places.module(name)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def _shell(folder: Path, trust_remote_code: bool, dtype: Any = None, tensors: Any = None) -> tuple[Any, Stack]:
    """The model without weights, and its layers. The buffers have values, and the experts are unfused.

    If `dtype` is None, the model is built in the dtype of its config. `tensors` reads dense tensors by name; by
    default, the tensors are read from the files.
    """
    model = empty_model(folder, trust_remote_code, dtype)
    stored = tensors_of(folder)
    shapes = {name: shape for name, (_, shape, _) in stored.items()}
    try:
        if tensors is None:
            places = TensorMap.of(model, stored, shapes=shapes)
        else:
            places = TensorMap.of(model, tensors.files, tensors.decoded, shapes)
        unfuse_experts(model)
    except UnknownExperts as error:
        raise UnsupportedModel(str(error)) from error
    if tensors is None:
        _check_shapes(folder, model, places, stored)
    stack = find_stack(model)
    stack.places = places
    return model, stack


def _check_shapes(folder: Path, model: Any, places: TensorMap, stored: Tensors) -> None:
    """Raise UsageError if a tensor in the files does not have the shape that the config gives to its parameter.

    The error is also raised if a weight has only 8 bits, because then it is a code without a scale.
    """
    import torch

    for name, parameter in model.named_parameters():
        place = places.places.get(name)
        if place is None:
            continue
        _, shape, size = stored[place.tensor]
        file = folder / "config.json"
        try:
            parts = [torch.empty(stored[tensor][1], device="meta") for tensor in place.tensors]
            found = tuple(place.of(*parts).shape)
        except (IndexError, RuntimeError):
            found = shape
        if found != tuple(parameter.shape):
            raise UsageError(
                f"{place.tensor} has the shape {list(shape)}, which does not fit {file}: fetch the model again"
            )
        if parameter.is_floating_point() and size < 2 * math.prod(shape):
            raise UsageError(
                f"{place.tensor} has fewer than 16 bits a weight, but {file} names no quantization: fetch the model "
                "again, or give the unquantized model"
            )


def _unread(stack: Stack) -> str:
    """A parameter of the model's base for which the files have no tensor; "" if there is no such parameter."""
    assert stack.places is not None
    prefix = _prefix(stack)
    names = (f"{prefix}{key}" for key in stack.base.state_dict())
    return next((name for name in names if name not in stack.places.places), "")


def _prefix(stack: Stack) -> str:
    """The prefix that the names of the base's parameters have in the model, such as `model.`."""
    inner = next(name for name, module in stack.base.named_modules() if module is stack.layers)
    return stack.name.removesuffix(inner)


class _Source:
    """Reads tensors into the empty parameters of a stack, in `dtype` or in the dtype of the config."""

    def __init__(self, stack: Stack, tensors: Any, exact: Any, dtype: Any = None) -> None:
        """A parameter keeps the dtype of the file if its name contains a word of `exact`.

        If `dtype` is given, a parameter with a word of `exact` in its name is float32, as in the model that
        transformers loads.
        """
        config = stack.base.config
        self._stack, self._tensors, self._exact, self._given = stack, tensors, tuple(exact), dtype
        self._dtype = dtype or getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)

    def load_rest(self) -> None:
        """Load the parameters of the base that belong to no layer."""
        prefix, layers = _prefix(self._stack), f"{self._stack.name}."
        names = {key: f"{prefix}{key}" for key in self._stack.base.state_dict()}
        state = self._read({key: name for key, name in names.items() if not name.startswith(layers)})
        self._stack.base.load_state_dict(state, strict=False, assign=True)

    def load_layer(self, index: int) -> Any:
        layer = self._stack.layers[index]
        state = self._read({key: f"{self._stack.name}.{index}.{key}" for key in layer.state_dict()})
        layer.load_state_dict(state, assign=True)
        return layer

    def missing_head(self) -> str:
        """A parameter of lm_head for which the files have no tensor; "" if there is none.

        A parameter that has the values of the embedding needs no tensor.
        """
        assert self._stack.places is not None
        places, tied = self._stack.places.places, self._tied()
        return next((name for name in self._head_names().values() if name not in places and name not in tied), "")

    def load_head(self) -> None:
        """Load lm_head. If its values are those of the embedding, the two share one tensor.

        As in transformers, a tensor of lm_head in the files counts more than `tie_word_embeddings` in config.json.
        """
        import torch

        assert self._stack.places is not None
        model, places, tied = self._stack.model, self._stack.places.places, self._tied()
        for key, name in self._head_names().items():
            source = tied.get(name)
            shared = model.get_parameter(source) if source is not None else None
            if shared is not None and shared.is_meta:
                shared = None  # this parameter was not read
            if shared is None or name in places:
                found = self._read({key: name if name in places else source or name})[key]
                if shared is None or not torch.equal(found, shared):
                    shared = torch.nn.Parameter(found, requires_grad=False)
            setattr(model.get_output_embeddings(), key, shared)

    def _tied(self) -> dict[str, str]:
        """Maps parameters of lm_head to other parameters.

        If the files have no tensor for a parameter of lm_head, transformers gives it the values of the other one.
        """
        tied = getattr(self._stack.model, "all_tied_weights_keys", {})
        return {name: tied[name] for name in self._head_names().values() if name in tied}

    def _head_names(self) -> dict[str, str]:
        """Maps each key of the head's state dict to the parameter's name in the model."""
        model, head = self._stack.model, self._stack.model.get_output_embeddings()
        place = next((name for name, module in model.named_modules() if module is head), "")
        return {} if head is None else {key: f"{place}.{key}" for key in head.state_dict()}

    def _read(self, names: dict[str, str]) -> dict[str, Any]:
        """The values of parameters. `names` maps keys of the result to names in the model."""
        assert self._stack.places is not None
        shared: dict[str, Any] = {}  # tensors that hold several parameters
        state = {}
        for key, name in names.items():
            place = self._stack.places.places[name]
            tensor = shared.get(place.tensor)
            if tensor is None:
                tensor = self._tensor(name, place.tensor)
            if not place.whole:
                shared[place.tensor] = tensor
            state[key] = place.of(tensor, *(self._tensor(name, one) for one in place.more))
        return state

    def _tensor(self, parameter: str, name: str) -> Any:
        """The tensor `name` in the dtype of `parameter`."""
        exact = any(word in parameter for word in self._exact)
        if self._given is not None and exact:
            return self._tensors.read(name).float()
        return self._tensors.read(name) if self._dtype is None or exact else self._tensors.read_as(name, self._dtype)
