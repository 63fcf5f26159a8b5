"""Rewrite the target's safetensors files and replace some tensors. Only one file is in memory at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.dense import FolderTensors
from faq_tui.core.models.headers import INDEX, tensors_of
from faq_tui.core.models.published.view import KEYS
from faq_tui.core.models.tensor_map import WEIGHT, Place, TensorMap


class LayerFiles:
    """The new tensors of each layer. The tensors stay on disk until the whole model is written.

    An earlier attempt may have left layers in the folder. `count` is the number of stored layers. The numbers of the
    stored layers are 0 to count - 1. `files` maps each tensor's name to its file. `modules` maps each module's name
    to the names of its new tensors.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Path] = {}
        self.modules: dict[str, list[str]] = {}
        self.count = 0
        self._open: tuple[Path, Any] | None = None  # the file that was read last
        folder.mkdir(parents=True, exist_ok=True)
        while (path := self._path(self.count)).is_file() and self._note(path):
            self.count += 1

    def add(self, layer: int, tensors: dict[str, Any]) -> None:
        from safetensors.torch import save_file

        path = self._path(layer)
        part = path.with_suffix(".part")
        save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, part)
        part.replace(path)
        self._open = None
        self._note(path)

    def layer(self, layer: int) -> dict[str, Any]:
        """All new tensors of a layer, by name."""
        from safetensors.torch import load_file

        return dict(load_file(self._path(layer)))

    def _path(self, layer: int) -> Path:
        return self.folder / f"layer-{layer:05}.safetensors"

    def _note(self, path: Path) -> bool:
        """Record the names of the tensors in the file. Returns False if the file is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as reader:
                names = list(reader.keys())
        except SafetensorError:
            return False
        self.files.update(dict.fromkeys(names, path))
        found: dict[str, list[str]] = {}
        for name in names:
            found.setdefault(name.rpartition(".")[0], []).append(name)
        self.modules |= found
        return True

    def read(self, name: str) -> Any:
        """The tensor `name`. A layer of a mixture of experts has thousands of tensors, so its file stays open."""
        from safetensors import safe_open

        path = self.files[name]
        if self._open is None or self._open[0] != path:
            self._open = path, safe_open(path, framework="pt")
        return self._open[1].get_tensor(name)


def _parts(new: LayerFiles, places: TensorMap | None) -> dict[str, list[tuple[str, Place]]]:
    """Maps each fused or transposed tensor of new modules to a list of pairs (module, place of the module).

    The map leaves out modules that have a separate tensor [out, in]. The map also leaves out packed modules with
    swapped axes, because packed tensors have only one form.
    """
    parts: dict[str, list[tuple[str, Place]]] = {}
    for key, place in ({} if places is None else places.places).items():
        if key.endswith(WEIGHT) and (place.transposed or not place.whole):
            assert places is not None
            module = places.module(key.removesuffix(WEIGHT))
            if module in new.modules and not (place.whole and new.modules[module] != [f"{module}{WEIGHT}"]):
                parts.setdefault(place.tensor, []).append((module, place))
    return parts


def _with_parts(name: str, tensor: Any, held: list[tuple[str, Place]], new: LayerFiles) -> dict[str, Any]:
    """The tensors that replace the tensor `name`.

    `held` lists the modules in the tensor `name`, with their places.
    """
    if any(new.modules[module] != [f"{module}{WEIGHT}"] for module, _ in held):
        return {part: new.read(part) for module, _ in held for part in new.modules[module]}
    tensor = tensor.clone()
    for module, place in held:
        place.of(tensor).copy_(new.read(f"{module}{WEIGHT}"))
    return {name: tensor}


def check_layout(target: Path, names: Iterable[str]) -> None:
    """Raise FaqError if one of the tensors `names` is missing from the target's files."""
    lost = sorted(set(names) - set(tensors_of(target)))
    if lost:
        raise FaqError(
            f"{target} has no tensor named {lost[0]}, so the quantized weights cannot be written back: "
            'use awq, or gptq with engine = "gptqmodel", for this model'
        )


def write_model(
    target: Path, out: Path, new: LayerFiles, check: Callable[[], None], places: TensorMap | None = None
) -> None:
    """Write the target's model into the folder `out`.

    If `new` has tensors of a module X, they replace the tensor `X.weight` of the target. If the publisher quantized
    the target, all other weights are written as dense weights, and the publisher's quantization is removed from
    config.json. The function also writes config.json and the index. `check` is called before each file is written and
    may raise an exception. `places` names the modules that the target stores in another form, such as a part of a
    fused tensor. The new dense weight of a module replaces only the module's part of the fused tensor. Packed tensors
    replace the whole fused tensor. Raises FaqError if the weight of a module of `new` is missing from the target's
    files.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    existing = tensors_of(target)
    parts = _parts(new, places)
    within = {module for held in parts.values() for module, _ in held}
    check_layout(target, (f"{module}.weight" for module in new.modules if module not in within))
    source, file_of = FolderTensors(target), dict[str, str]()
    for path in sorted({path for path, _, _ in existing.values()}):
        check()
        tensors: dict[str, Any] = {}
        with safe_open(path, framework="pt") as reader:
            metadata = reader.metadata() or {"format": "pt"}
        for name in (name for name, (place, _, _) in existing.items() if place == path):
            module = name.removesuffix(".weight")
            if name in parts:
                tensors.update(_with_parts(name, source.read(name), parts[name], new))
            elif module != name and module in new.modules:
                tensors.update((part, new.read(part)) for part in new.modules[module])
            else:
                tensors[name] = source.read(name)
        save_file(tensors, out / path.name, metadata)
        file_of.update(dict.fromkeys(tensors, path.name))
    if (target / INDEX).is_file():
        size = sum(size for _, _, size in tensors_of(out).values())
        body = {"metadata": {"total_size": size}, "weight_map": dict(sorted(file_of.items()))}
        (out / INDEX).write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    _write_config(target, out)


def _write_config(target: Path, out: Path) -> None:
    """Write config.json without a quantization. In the config of a dense model, this key may be null or empty."""
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    parts = (config, config.get("text_config") or {})
    if not any(key in part for part in parts for key in KEYS):
        shutil.copyfile(target / "config.json", out / "config.json")
        return
    for part in parts:
        for key in KEYS:
            part.pop(key, None)
    (out / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
