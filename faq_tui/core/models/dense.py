"""Define the storage formats of model weights, and load a folder of any format as a model with dense weights.

The key `quant_method` in `quantization_config` of `config.json` names a folder's format. Every quantization method
names the format that it writes; several methods may write the same format. A format converts its weights back to
dense weights, checks whether servers can load a folder, and lists the settings that the servers' CUDA kernels do not
support.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.steps import step
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.dense_tensors import DenseTensors, StateTensors
from faq_tui.core.models.experts import transposed_matrices
from faq_tui.core.models.headers import stored_tensors, tensors_of, view_of
from faq_tui.core.models.model_code import without_code
from faq_tui.core.models.tensor_map import WEIGHT, TensorMap
from faq_tui.core.models.text_model import auto_class

Config = Mapping[str, Any]  # the content of quantization_config
Kernels = Mapping[str, tuple[Any, ...]]  # maps a key of quantization_config to the values that CUDA kernels support
SERVERS = ("vllm", "sglang")


class WeightFormat:
    """One way to store weights.

    `servers` names the servers that can load the format. `kernels` maps each key of `quantization_config` to the
    values that vLLM's CUDA kernels support. vLLM refuses to serve a folder with other values.
    """

    quant_method: str | None
    servers: tuple[str, ...] = SERVERS
    kernels: ClassVar[Kernels] = {}

    def dense_state(self, folder: Path, quantization: Config, dtype: Any) -> dict[str, Any]:
        """The dense state dict of a folder. All tensors have the torch dtype `dtype`.

        `name.weight` has the shape [out_features, in_features].
        """
        raise NotImplementedError

    def tensors(self, folder: Path, quantization: Config, dtype: Any) -> DenseTensors:
        """Reads the tensors of `dense_state` one by one, so that the model may be larger than the memory.

        A format that does not override this method computes the whole `dense_state` at once.
        """
        state = self.dense_state(folder, quantization, dtype)
        return StateTensors(state, decoded=_quantized(folder, state))

    def prepare(self, model: Any, quantization: Config) -> None:
        """Change the dense `model` if the format changes more than the weights, for example the activations.

        The model is on the CPU and has the weights of `dense_state`.
        """

    def problems(self, quantization: Config, tensors: set[str]) -> list[str]:
        """Reasons why a server would refuse to load the folder.

        `tensors` has the names of all tensors in the folder.
        """
        del quantization, tensors
        return []

    def doubts(self, quantization: Config) -> list[str]:
        """Reasons why a server may refuse a complete folder.

        There is one reason for each setting that the server's CUDA kernels do not support.
        """
        if not self.servers:
            return [f"faq-tui knows no server that loads {self.quant_method} weights"]
        return [
            f"vLLM supports {self.quant_method} with {key} {' or '.join(map(str, has))}; "
            f"this folder has {quantization[key]}, so vLLM may refuse it"
            for key, has in self.kernels.items()
            if quantization.get(key, has[0]) not in has
        ]


class DenseFormat(WeightFormat):
    """The format of plain weights. transformers reads them itself, so `dense_state` is never called."""

    quant_method = None

    def tensors(self, folder: Path, quantization: Config, dtype: Any) -> DenseTensors:
        del quantization, dtype
        return FolderTensors(folder)


DENSE = DenseFormat()


class DecodedFormat(WeightFormat):
    """A format whose dense tensors are computed one by one. A subclass overrides `tensors`."""

    def dense_state(self, folder: Path, quantization: Config, dtype: Any) -> dict[str, Any]:
        tensors = self.tensors(folder, quantization, dtype)
        return {name: tensors.read_as(name, dtype) for name in tensors.files}


def format_of(quant_method: object) -> WeightFormat | None:
    """The format with this `quant_method`; DENSE if `quant_method` is None; None if no method writes the format."""
    if quant_method is None:
        return DENSE
    formats = (METHODS.get(name).format for name in METHODS.names())
    weight_format: WeightFormat | None = next((one for one in formats if one.quant_method == quant_method), None)
    return weight_format


def quantization_of(folder: Path) -> dict[str, Any] | None:
    """The `quantization_config` of a folder; None if the folder's weights are dense."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    body: dict[str, Any] | None = config.get("quantization_config")
    return body


def format_of_folder(folder: Path) -> WeightFormat:
    """The format of a folder; DENSE if no method writes the `quant_method` in its config.json."""
    return format_of((quantization_of(folder) or {}).get("quant_method")) or DENSE


class FolderTensors(DenseTensors):
    """Reads tensors by name from all files of a folder.

    If the publisher quantized the model (`published/`), `read` computes dense weights from codes and scales. For such
    a model, `files` has the names of the dense weights, and no scales.
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        stored = stored_tensors(folder)
        self.view = view_of(folder, stored)
        self._stored = {name: one.path for name, one in stored.items()}
        dense = stored if self.view is None else self.view.tensors
        self.files: Mapping[str, Path] = {name: one[0] for name, one in dense.items()}
        self.readers: dict[Path, Any] = {path: safe_open(path, framework="pt") for path in set(self._stored.values())}

    def read(self, name: str) -> Any:
        """The tensor `name` in its stored dtype. Weights computed from codes have the dtype of config.json."""
        return self._get(name) if self.view is None else self.view.read(name, self._get)

    def _get(self, name: str) -> Any:
        return self.readers[self._stored[name]].get_tensor(name)


class PublishedWeights(WeightFormat):
    """The weights of a model that its publisher quantized. `FolderTensors` computes them."""

    def tensors(self, folder: Path, quantization: Config, dtype: Any) -> DenseTensors:
        del quantization, dtype
        return FolderTensors(folder)

    def dense_state(self, folder: Path, quantization: Config, dtype: Any) -> dict[str, Any]:
        del quantization
        tensors = FolderTensors(folder)
        return {
            name: tensors.read(name) if dtype == "auto" else tensors.read_as(name, dtype) for name in tensors.files
        }


PUBLISHED = PublishedWeights()


def readable_format(folder: Path, quantization: Config) -> WeightFormat:
    """The format of a folder with this `quantization_config`, which is empty if the folder has none.

    Raises FaqError if faq-tui cannot read the format.
    """
    if view_of(folder) is not None:
        return PUBLISHED
    name = quantization.get("quant_method")
    format = format_of(name) if quantization else DENSE
    if format is None or (quantization and format is DENSE):
        raise FaqError(f"{folder} is quantized as {name!r}: faq-tui cannot read this format")
    return format


def lacking(quantization: Config, keys: tuple[str, ...]) -> list[str]:
    """One sentence for each key in `keys` that `quantization` lacks."""
    return [f"quantization_config lacks {key}" for key in keys if key not in quantization]


def incomplete(tensors: set[str], parts: tuple[str, ...]) -> list[str]:
    """A list of problems with the packed weights.

    The list has one sentence if there are no packed weights (`X.qweight`), or if one of their `parts` is missing;
    otherwise it is empty.
    """
    modules = [name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")]
    lost = sorted(f"{module}.{part}" for module in modules for part in parts if f"{module}.{part}" not in tensors)
    if not modules:
        return ["the files hold no packed weights"]
    return [f"{lost[0]} is missing"] if lost else []


def load_dense(folder: Path, dtype: Any, device: str, trust_remote_code: bool = False) -> Any:
    """A Hugging Face causal LM in eval mode, with all parameters in the torch dtype `dtype` and on `device`.

    The folder's format computes dense weights in float32 and rounds them to `dtype` once. transformers loads the
    dense state dict, so that fused experts and tied heads have the same form as in the unquantized model. If a format
    also quantizes activations, the model rounds the inputs of the quantized modules. A model that its publisher
    quantized (`published/`) becomes a plain dense model, whose weights are first rounded to the dtype of config.json.
    Code in the folder runs only if `trust_remote_code` is true. Raises FaqError if no method writes the folder's
    format, or if weights are missing.
    """
    with without_code(folder, trust_remote_code) as safe, step("loading a model"):
        model, report = _load(safe, dtype, trust_remote_code)
    # if weights are missing, transformers only warns, and fills them with random numbers
    if report["missing_keys"]:
        raise FaqError(f"{folder} lacks the weights {', '.join(sorted(report['missing_keys'])[:3])}: make it again")
    return model.to(device).eval()


def _load(folder: Path, dtype: Any, trust_remote_code: bool) -> tuple[Any, dict[str, Any]]:
    """Return the model, and transformers' report about missing and unexpected weights."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    quantization = getattr(config, "quantization_config", None) or {}
    options: dict[str, Any] = {"dtype": dtype, "output_loading_info": True}
    format = readable_format(folder, quantization)
    stale = [part.__dict__.pop("quantization_config", None) for part in (config, config.get_text_config())]
    if format is DENSE:
        if any(one is not None for one in stale):  # transformers refuses a model with an empty quantization_config
            options["config"] = config
        auto = auto_class(config)
        model, report = auto.from_pretrained(folder, trust_remote_code=trust_remote_code, **options)
    else:
        with torch.device("meta"):
            shell = auto_class(config).from_config(config, trust_remote_code=trust_remote_code)
        with step("converting stored weights to dense weights"):
            state = format.dense_state(folder, quantization, dtype)
        quantized = _quantized(folder, state)
        names = TensorMap.of(shell, state, shapes={name: tuple(one.shape) for name, one in state.items()})
        for name in transposed_matrices(shell):
            place = names.places.get(f"{name}{WEIGHT}")
            if place is not None and place.tensor in quantized:
                state[place.tensor] = state[place.tensor].t().contiguous()
        state = names.restored(state)
        model, report = type(shell).from_pretrained(None, config=shell.config, state_dict=state, **options)
        format.prepare(model, in_memory(quantization, names))
    return model, report


def _quantized(folder: Path, state: Mapping[str, Any]) -> set[str]:
    """The names of the tensors in `state` that the folder does not store in dense form."""
    stored = tensors_of(folder)
    return {name for name in state if name not in stored or f"{name}_scale" in stored}


def in_memory(quantization: Config, names: TensorMap) -> Config:
    """A copy of `quantization` in which `ignore` has the modules' names in memory, not their names in the files."""
    if "ignore" not in quantization:
        return quantization
    known = {place.tensor: key.removesuffix(WEIGHT) for key, place in names.places.items()}
    return {**quantization, "ignore": [known.get(f"{one}{WEIGHT}", one) for one in quantization["ignore"]]}
