"""Open a model for the walk. Only the weights of one layer at a time are in memory."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.dense import FolderTensors
from faq_tui.core.models.experts import unfuse_experts
from faq_tui.core.models.headers import tensors_of
from faq_tui.core.models.stack import Stack, UnsupportedModel, find_stack


def open_stack(folder: Path, trust_remote_code: bool) -> Stack:
    """The decoder layers of the model in `folder`, on the CPU.

    Each layer is read only when the walk asks for it. If a parameter of the model is missing from the files, the
    whole model is read at once. Raises UnsupportedModel if the model is not a plain stack of layers.
    """
    from transformers import AutoModelForCausalLM

    model = _shell(folder, trust_remote_code)
    if _unread(find_stack(model), tensors_of(folder)):
        options = {"dtype": "auto", "trust_remote_code": trust_remote_code}
        return find_stack(AutoModelForCausalLM.from_pretrained(str(folder), **options).eval())
    stack = find_stack(model)
    source = _Source(stack, FolderTensors(folder), getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    source.load_rest()
    stack.load = source.load_layer
    return stack


def open_streamed(folder: Path, trust_remote_code: bool, tensors: Any, dtype: Any) -> Stack:
    """The decoder layers of the model in `folder`, with weights of the torch dtype `dtype` on the CPU.

    `tensors` is a `FolderTensors` or another object that reads dense tensors by name. The embedding, the final norm
    and lm_head are read at once. Only `Stack.load` reads layers. Raises UnsupportedModel if the layers cannot be read
    one at a time.
    """
    model = _shell(folder, trust_remote_code, dtype)
    stack = find_stack(model)
    source = _Source(stack, tensors, getattr(model, "_keep_in_fp32_modules_strict", None) or (), dtype)
    missing = _unread(stack, tensors.files) or source.missing_head()
    if missing:
        raise UnsupportedModel(f"the files of {type(model).__name__} have no tensor named {missing}")
    source.load_rest()
    source.load_head()
    stack.load = source.load_layer
    return stack


def refusal_of(folder: Path, trust_remote_code: bool) -> str:
    """The reason why the walk cannot read this model layer by layer; "" if it can. Only headers of files are read."""
    try:
        name = _unread(find_stack(_shell(folder, trust_remote_code)), tensors_of(folder))
    except UnsupportedModel as error:
        return error.reason
    except FaqError as error:
        return str(error)
    return f"its files have no tensor named {name}" if name else ""


def _shell(folder: Path, trust_remote_code: bool, dtype: Any = None) -> Any:
    """The model without weights. The buffers of this model have values, and each expert has its own matrices.

    If `dtype` is None, the model is built in the dtype of its config.
    """
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    with init_empty_weights(include_buffers=False):
        options = {} if dtype is None else {"dtype": dtype}
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code, **options)
    unfuse_experts(model)
    return model.eval()


def _unread(stack: Stack, stored: Container[str]) -> str:
    """The name of a parameter of the model's base that is not in `stored`; "" if none is missing."""
    prefix = _prefix(stack)
    return next((name for name in (f"{prefix}{key}" for key in stack.base.state_dict()) if name not in stored), "")


def _prefix(stack: Stack) -> str:
    """The prefix that the names of the base's tensors have in the files, such as `model.`."""
    inner = next(name for name, module in stack.base.named_modules() if module is stack.layers)
    return stack.name.removesuffix(inner)


class _Source:
    """Reads tensors into the empty parameters of a stack, in `dtype` or in the dtype of the config."""

    def __init__(self, stack: Stack, tensors: Any, exact: Any, dtype: Any = None) -> None:
        """A parameter keeps the dtype of the file if its name contains a word of `exact`.

        If `dtype` is given, such a parameter is float32, as in the model that transformers loads.
        """
        config = stack.base.config
        self._stack, self._tensors, self._exact, self._given = stack, tensors, tuple(exact), dtype
        self._dtype = dtype or getattr(config.get_text_config(), "dtype", None) or getattr(config, "dtype", None)

    def load_rest(self) -> None:
        """Load the parameters of the base that belong to no layer."""
        prefix, layers = _prefix(self._stack), f"{self._stack.name}."
        names = {key: f"{prefix}{key}" for key in self._stack.base.state_dict()}
        state = {key: self._read(name) for key, name in names.items() if not name.startswith(layers)}
        self._stack.base.load_state_dict(state, strict=False, assign=True)

    def load_layer(self, index: int) -> Any:
        layer = self._stack.layers[index]
        state = {key: self._read(f"{self._stack.name}.{index}.{key}") for key in layer.state_dict()}
        layer.load_state_dict(state, assign=True)
        return layer

    def missing_head(self) -> str:
        """The name of a tensor of lm_head that is missing from the files; "" if none is missing."""
        wanted = () if self._tied() else self._head_names().values()
        return next((name for name in wanted if name not in self._tensors.files), "")

    def load_head(self) -> None:
        """Load lm_head. If the embedding is also the head, the two share one tensor."""
        model = self._stack.model
        head = model.get_output_embeddings()
        if head is None:
            return
        if self._tied():
            head.weight = model.get_input_embeddings().weight
        else:
            head.load_state_dict({key: self._read(name) for key, name in self._head_names().items()}, assign=True)

    def _tied(self) -> bool:
        config = self._stack.model.config
        return bool(getattr(config.get_text_config(), "tie_word_embeddings", False))

    def _head_names(self) -> dict[str, str]:
        """Maps each key of the head's state dict to the tensor's name in the files."""
        model, head = self._stack.model, self._stack.model.get_output_embeddings()
        place = next((name for name, module in model.named_modules() if module is head), "")
        return {} if head is None else {key: f"{place}.{key}" for key in head.state_dict()}

    def _read(self, name: str) -> Any:
        if self._given is not None and any(word in name for word in self._exact):
            return self._tensors.read(name).float()
        if self._dtype is None or any(word in name for word in self._exact):
            return self._tensors.read(name)
        return self._tensors.read_as(name, self._dtype)
