"""From `target.model` in the settings to a folder or hub id, and to a hash that changes when its weights do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.errors import UsageError
from faq_tui.core.run import Run
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.store.hashing import digest


@dataclass(frozen=True)
class TargetModel:
    """What `from_pretrained` takes, and how it may be taken."""

    name: str  # for people and reports
    path: str  # local folder or hub id
    trust_remote_code: bool
    device: str  # auto | cpu | cuda
    dtype: str  # auto | float32 | bfloat16 | float16


def find_target(run: Run, say: Callable[[str], None]) -> TargetModel:
    """The run's target; the embedded one is fetched and converted once, `say` tells of it.

    Raises UsageError for a local path that is no model folder.
    """
    target = run.settings.target
    path = target.model
    name = path
    if path == EMBEDDED:
        from faq_tui.core.embedded import ensure_model

        model = ensure_model(say)
        name, path = model.name, str(model.folder)
    elif folder := _local(run):
        name, path = folder.name, str(folder)
    return TargetModel(name, path, target.trust_remote_code, target.device, target.dtype)


def fingerprint(run: Run) -> str:
    """A hash of the target: its configuration, and name and size of each of its files; of a hub model, its id.

    It needs neither network nor torch, and reads no weights.
    """
    target = run.settings.target
    if target.model == EMBEDDED:
        from faq_tui.core.embedded.pinned import CONVERTER_VERSION, GGUF_SHA256

        return digest(EMBEDDED, GGUF_SHA256, CONVERTER_VERSION)
    folder = _local(run)
    if folder is None:
        return digest("hub", target.model)
    config = (folder / "config.json").read_text(encoding="utf-8", errors="replace")
    kept = (".safetensors", ".bin", ".json", ".jinja", ".model")
    files = sorted((f.name, f.stat().st_size) for f in folder.iterdir() if f.suffix in kept)
    return digest("folder", config, files)


def _local(run: Run) -> Path | None:
    """The local folder that `target.model` names, or None where it can be a hub id."""
    name = run.settings.target.model
    folder = run.resolve(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"target.model {folder} holds no config.json: name a Hugging Face model folder")
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(f"no model folder at {folder}: check target.model")
    return None
