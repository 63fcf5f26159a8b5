"""Find the run's target from `target.model` (a folder or hub id), and compute a hash that detects changed weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.models.folder_check import no_model_in
from faq_tui.core.models.hub import cached_folder
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED

KEPT = (".safetensors", ".bin", ".json", ".jinja", ".model")
SPOTS, SPOT = 16, 16 * 1024  # From each file, 16 samples of 16 KiB are read, evenly spaced.


@dataclass(frozen=True)
class TargetModel:
    """The arguments for loading the target with `from_pretrained`."""

    name: str  # the name on the screen and in reports
    path: str  # local folder or hub id
    trust_remote_code: bool
    device: str  # "auto", "cpu" or "cuda"
    dtype: str  # "auto", "float32", "bfloat16" or "float16"
    read: str = "auto"  # auto | whole | layers: how the weights are read

    @property
    def spec(self) -> dict[str, Any]:
        """The entries of a worker task's spec that are needed to open the target (see `opening.opening_of`)."""
        return {
            "model": self.path,
            "trust_remote_code": self.trust_remote_code,
            "device": self.device,
            "dtype": self.dtype,
            "read": self.read,
        }


def find_target(run: Run, say: Callable[[str], None]) -> TargetModel:
    """The run's target. The embedded model is downloaded and converted first if the cache lacks it.

    `say` is called with a line for each slow step. Raises UsageError if a local path is not a model folder.
    """
    target = run.settings.target
    path = target.model
    name = path
    if path == EMBEDDED:
        from faq_tui.core.embedded import ensure_model

        model = ensure_model(say)
        name, path = model.name, str(model.folder)
    elif folder := local_target(run):
        name, path = folder.name, str(folder)
    return TargetModel(name, path, target.trust_remote_code, target.device, target.dtype, target.read)


def fingerprint(run: Run) -> str:
    """A hash of the target.

    The hash of a folder covers the configuration, and the name, size and samples of each file. The hash of a hub
    model covers only the id. The hash is computed without a network and without torch. Further training changes
    almost all weights, so a few samples are enough to detect it. A copy of the target in another folder or with
    another date has the same hash.
    """
    target = run.settings.target
    if target.model == EMBEDDED:
        from faq_tui.core.embedded.gguf_file import CONVERTER_VERSION, GGUF_SHA256

        return digest(EMBEDDED, GGUF_SHA256, CONVERTER_VERSION)
    folder = local_target(run)
    return digest("hub", target.model) if folder is None else _hash_of_folder(folder)


def content_fingerprint(run: Run) -> str:
    """A hash of the target's files, if they are on this machine; otherwise the result of `fingerprint`.

    Two names of the same files have the same hash: "embedded" and the path of its folder, or a hub id and the path of
    its folder in the cache. Signatures cannot use this hash, because a download would change it.
    """
    name = run.settings.target.model
    if name == EMBEDDED:
        from faq_tui.core.embedded import cached_model

        cached = cached_model()
        folder = cached.folder if cached else None
    else:
        folder = local_target(run) or cached_folder(name)
    if folder is None or not (folder / "config.json").is_file():
        return fingerprint(run)
    return _hash_of_folder(folder)


def _hash_of_folder(folder: Path) -> str:
    config = (folder / "config.json").read_text(encoding="utf-8", errors="replace")
    files = sorted(path for path in folder.iterdir() if path.suffix in KEPT and path.is_file())
    return digest("folder", config, [(path.name, path.stat().st_size, _spots(path)) for path in files])


def _spots(path: Path) -> str:
    known = path.stat()
    return _hash_of_spots(path, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash_of_spots(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001  a key of the cache
    """A hash of samples of the file, or of the whole file if the file is small.

    The hash is cached, because it is often needed. A new size or `mtime_ns` makes the cached hash invalid.
    """
    sha = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            for number in range(SPOTS):
                file.seek(max(0, size - SPOT) * number // (SPOTS - 1))
                sha.update(file.read(SPOT))
    except OSError as error:
        raise UsageError(f"cannot read {path} of target.model: {error.strerror}") from None
    return sha.hexdigest()


def local_target(run: Run) -> Path | None:
    """The local folder that `target.model` names, or None if `target.model` has the form of a hub id.

    Raises UsageError if there is no such folder, or if it has no config.json.
    """
    name = run.settings.target.model
    folder = run.resolve(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"target.model {folder} {no_model_in(folder)}")
        return folder
    if folder.is_file():
        raise UsageError(f"target.model {folder} is a file: give the Hugging Face model folder")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(f"no model folder at {folder}: check target.model")
    return None
