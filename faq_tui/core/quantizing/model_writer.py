"""Rewrite the target's safetensors files and replace some tensors. Only one file is in memory at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.headers import INDEX, tensors_of


class LayerFiles:
    """The new tensors of each layer, kept on disk until the whole model is written.

    `files` maps each tensor's name to its file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Path] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, layer: int, tensors: dict[str, Any]) -> None:
        from safetensors.torch import save_file

        path = self.folder / f"layer-{layer:05}.safetensors"
        save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, path)
        self.files.update(dict.fromkeys(tensors, path))

    def read(self, name: str) -> Any:
        from safetensors import safe_open

        with safe_open(self.files[name], framework="pt") as reader:
            return reader.get_tensor(name)


def check_layout(target: Path, names: Iterable[str]) -> None:
    """Raise FaqError if one of the tensors `names` is missing from the target's files."""
    lost = sorted(set(names) - set(tensors_of(target)))
    if lost:
        raise FaqError(
            f"{target} has no tensor named {lost[0]}, so the quantized weights cannot be written back: "
            "use gptq or awq for this model"
        )


def write_model(target: Path, out: Path, new: LayerFiles, check: Callable[[], None]) -> None:
    """Write the target's model into the folder `out`. A `new` tensor replaces the tensor of the same name.

    A new `X.weight_scale` goes into the file of `X.weight`. config.json and the index are written, too. `check` is
    called before each file is written and may raise an exception. Raises FaqError if a `new` tensor is missing from
    the target's files.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    existing = tensors_of(target)
    scales = {name for name in new.files if name.removesuffix("_scale") in existing and name not in existing}
    check_layout(target, set(new.files) - scales)
    file_of: dict[str, str] = {}
    for path in sorted({path for path, _, _ in existing.values()}):
        check()
        tensors: dict[str, Any] = {}
        with safe_open(path, framework="pt") as reader:
            metadata = reader.metadata() or {"format": "pt"}
            for name in reader.keys():  # noqa: SIM118  the reader is no dict
                tensors[name] = new.read(name) if name in new.files else reader.get_tensor(name)
                if f"{name}_scale" in scales:
                    tensors[f"{name}_scale"] = new.read(f"{name}_scale")
        save_file(tensors, out / path.name, metadata)
        file_of.update(dict.fromkeys(tensors, path.name))
    if (target / INDEX).is_file():
        size = sum(size for _, _, size in tensors_of(out).values())
        body = {"metadata": {"total_size": size}, "weight_map": dict(sorted(file_of.items()))}
        (out / INDEX).write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(target / "config.json", out / "config.json")
