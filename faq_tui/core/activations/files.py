"""Write and read `activations/<set>.safetensors`: the channel maxima and the landscape of each measured module.

The file has three kinds of tensors. `absmax.<layer>.<module>` is float32 [channels]. `landscape.<layer>.<module>` is
float32 [slices, columns]. `experts.<layer>` is int64 [experts]: the number of tokens that each expert of the layer
gets. The header's metadata has the entry `faq`, a JSON text that contains the signature. Reading the file needs
numpy, but not torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations.module_refs import ModuleRef
from faq_tui.core.base.files import full_disk_is_clear, private_folder
from faq_tui.core.run.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

SCHEMA = 1
ABSMAX, LANDSCAPE, EXPERTS = "absmax", "landscape", "experts"


def path_of(run: Run, set_name: str) -> Path:
    return run.folder / "activations" / f"{set_name}.safetensors"


def write(path: Path, tensors: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write the file atomically. `about` is stored in the header as JSON."""
    from safetensors.numpy import save

    half = path.with_name(f".{path.name}.{os.getpid()}.half")
    with full_disk_is_clear(path):
        private_folder(path.parent)
        try:
            half.write_bytes(save(dict(tensors), {"faq": json.dumps({"schema": SCHEMA, **about})}))
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def signature_of(path: Path) -> str | None:
    """Read the signature of the inputs from which the file was made.

    Returns None if the file is missing or cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as reader:
            about = json.loads((reader.metadata() or {}).get("faq", "{}"))
    except (OSError, SafetensorError, ValueError):
        return None
    return str(about.get("signature")) if isinstance(about, dict) and about.get("schema") == SCHEMA else None


def places_of(path: Path) -> list[ModuleRef]:
    """The measured modules, sorted by layer and name. The list is empty if the file cannot be read."""
    from safetensors import SafetensorError, safe_open

    refs = []
    try:
        with safe_open(path, framework="np") as reader:
            for name in reader.keys():  # noqa: SIM118  the reader is not a dict
                kind, _, rest = name.partition(".")
                layer, _, module = rest.partition(".")
                if kind == ABSMAX and layer.isdecimal() and module:
                    refs.append(ModuleRef(int(layer), module))
    except (OSError, SafetensorError):
        return []
    return sorted(refs)


def read(path: Path, kind: str, ref: ModuleRef) -> Array | None:
    """Read one array. `kind` is `ABSMAX` ([channels]) or `LANDSCAPE` ([slices, columns]).

    Returns None if the array is missing.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as reader:
            array: Array = reader.get_tensor(f"{kind}.{ref.name}")
    except (OSError, SafetensorError):
        return None
    return array
