"""Read the content of a model folder only from its safetensors headers, without torch and without the weights."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.published.base import StoredTensor
from faq_tui.core.models.published.view import DenseView, dense_view

INDEX = "model.safetensors.index.json"
LFS = b"version https://git-lfs.github.com/spec/"
Tensors = dict[str, tuple[Path, tuple[int, ...], int]]

_BITS = re.compile(r"(\d+)")
_IN_LAYERS = re.compile(r"\.\d+\.")
# Routers of experts are not quantized: they are small, and the wrong choice of an expert clearly harms the model's
# quality. The small mixing matrices of Gemma 3n (altup) and Qwen 4 (block_inject_weight) are not quantized either.
# Servers load the `weights_proj` of sparse attention (DeepSeek-V3.2 and V4) only as a dense matrix.
KEPT = re.compile(
    r"(?:^|\.)(?:gate|router|router\.layer|gate\.wg|router_mlp\.\w+|shared_expert_gate|modality_router|\w+ion_coefs"
    r"|weights_proj|block_inject_weight)$"
)
# Names of towers and projectors in multimodal models. Quantizers of text models leave these parts unchanged.
_NO_TEXT = re.compile(r"(?:^|\.)(?:vision_\w+|visual|audio_\w+|\w*projector)\.")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that a loader reads: the files that the index names, or all files if there is no index.

    Some publishers add a second copy of the weights under other names, for example Mistral under
    `consolidated.safetensors`. faq-tui ignores the second copy, because no loader reads it. Raises UsageError if
    there is no file, or if a file that the index names is missing.
    """
    index = folder / INDEX
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{index} cannot be read ({error}): fetch the model again") from error
        foreign = [name for name in names if not _is_inside(name)]
        if foreign:
            shown = f"{foreign[0]!r:.100}"
            raise UsageError(f"{index} names {shown}, which is not a file in this folder: fetch the model again")
        files = [folder / name for name in sorted(names)]
    else:
        files = [path for path in sorted(folder.glob("*.safetensors")) if not path.name.startswith("consolidated")]
    lost = next((path for path in files if not _is_file(path)), None)
    if lost is not None:
        raise UsageError(f"{lost} is missing, though {INDEX} names it: fetch the model again")
    if not files:
        raise UsageError(f"{folder} has no *.safetensors files: give a folder with weights in that format")
    return files


def _is_inside(name: object) -> bool:
    """True if the index may name this file: a relative path that does not leave the folder."""
    return isinstance(name, str) and bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def tensors_of(folder: Path, files: Iterable[Path] | None = None) -> Tensors:
    """File, shape and size in bytes of every tensor in `files`. By default, `files` are the folder's `weight_files`.

    If the publisher quantized the model (`published/`), the result has the dense tensors that `FolderTensors`
    reads, without the scales. Raises the same errors as `weight_files` and `dense_view`.
    """
    stored = stored_tensors(folder, files)
    view = dense_view(folder, stored, _size) if files is None else None
    if view is not None:
        return view.tensors
    return {name: (one.path, one.shape, _size(one)) for name, one in stored.items()}


def view_of(folder: Path, stored: Mapping[str, StoredTensor] | None = None) -> DenseView | None:
    """The dense view of a model that its publisher quantized; None for all other folders.

    `stored` is the result of `stored_tensors`, if the caller has it already. Raises the same errors as `tensors_of`.
    """
    return dense_view(folder, stored_tensors(folder) if stored is None else stored, _size)


def stored_tensors(folder: Path, files: Iterable[Path] | None = None) -> dict[str, StoredTensor]:
    """The header of every tensor in `files`, as it is stored. Raises the same errors as `weight_files`."""
    from safetensors import SafetensorError, safe_open

    tensors: dict[str, StoredTensor] = {}
    for path in weight_files(folder) if files is None else files:
        try:
            with safe_open(path, framework="np") as reader:
                for name in reader.keys():  # noqa: SIM118  the reader is not a dict
                    part = reader.get_slice(name)
                    tensors[name] = StoredTensor(path, tuple(part.get_shape()), part.get_dtype())
        except (SafetensorError, OSError) as error:
            if is_pointer(path):
                raise UsageError(f"{path} is only a pointer of Git LFS: run `git lfs pull` there") from error
            raise UsageError(f"{path} cannot be read ({error}): fetch the model again") from error
    return tensors


def is_pointer(path: Path) -> bool:
    """True if the file is only a pointer of Git LFS, because the real file was not fetched."""
    try:
        with path.open("rb") as file:
            return file.read(len(LFS)) == LFS
    except OSError:
        return False


def linear_shapes(folder: Path, whole: bool = False) -> dict[str, tuple[int, int]]:
    """(out_features, in_features) of every weight matrix inside the text layers of an unquantized model.

    Embeddings and the head are left out: their names have no layer number, and they are not quantized. With `whole`,
    the matrices of other parts, such as a vision tower, are also in the result.
    """
    others = re.compile("(?!)") if whole else _NO_TEXT
    return {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, (_, shape, _) in tensors_of(folder).items()
        if name.endswith(".weight") and len(shape) == 2 and _IN_LAYERS.search(name) and not others.search(name)
    }


def quantized_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """`linear_shapes` without the routers and mixing matrices, which are not quantized."""
    return {name: shape for name, shape in linear_shapes(folder).items() if not KEPT.search(name)}


def packed_shapes(folder: Path, bits: int) -> dict[str, tuple[int, int]]:
    """(out_features, in_features) of all modules with packed weights in a GPTQ or AWQ folder.

    GPTQ packs the codes of neighbouring inputs into one 32-bit word, and AWQ packs the codes of neighbouring outputs.
    `scales` has one column per output.
    """
    tensors, shapes = tensors_of(folder), {}
    for name, (_, shape, _) in tensors.items():
        if name.endswith(".qweight"):
            module, (rows, columns) = name.removesuffix(".qweight"), shape
            out = tensors[f"{module}.scales"][1][1]
            shapes[module] = (out, rows * 32 // bits if columns == out else rows)
    return shapes


def is_of_text(name: str) -> bool:
    """True if the tensor is in the text part of a model, and not in its vision or audio part."""
    return not _NO_TEXT.search(name)


def _size(tensor: StoredTensor) -> int:
    """The size of a tensor in bytes."""
    return math.prod(tensor.shape) * _bits(tensor.dtype) // 8


def _bits(dtype: str) -> int:
    """The width in bits of a safetensors dtype such as BF16, I32 or F8_E4M3. BOOL has 8 bits."""
    width = _BITS.search(dtype)
    return int(width.group(1)) if width else 8
