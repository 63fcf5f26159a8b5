"""Refuse recipes that cannot quantize the target, before the run spends money or hours."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.headers import linear_shapes, tensors_of, weight_files
from faq_tui.core.quantizing.output import versions
from faq_tui.core.quantizing.parallel import gpus_refusal
from faq_tui.core.run.run import Run
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

VERSION = 1  # increase this number if new code finds other refusals for the same files

# Every method supports the architectures PLAIN_TYPES if all matrices in their layers match PLAIN. For these models,
# no worker process is needed.
PLAIN_TYPES = {"llama", "mistral", "qwen2", "qwen3"}
PLAIN = re.compile(r"model\.layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)")


def check_gpus(run: Run) -> None:
    """Raise UsageError if this machine has fewer GPUs than an artefact needs.

    The machines of a cluster are not checked here: Ray knows their GPUs.
    """
    settings = run.settings
    if settings.cluster.address is not None and settings.target.device != "cpu":
        return
    if why := gpus_refusal(settings.quantize.gpus_per_artefact, settings.target.device):
        raise UsageError(why)


def check_recipes(run: Run, folder: Path, cancel: CancelToken, log: Path) -> None:
    """Raise UsageError if a recipe cannot quantize the model in `folder`.

    The check takes some seconds for an unusual model. The result is stored in the run's cache. If the files, the
    recipes or the packages change, the check runs again.
    """
    config, recipes = read_config(folder), [recipe.identity() for recipe in run.settings.recipes]
    if config.get("model_type") in PLAIN_TYPES and all(map(PLAIN.fullmatch, linear_shapes(folder))):
        return
    trusted = run.settings.target.trust_remote_code
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in weight_files(folder)]
    key = digest(VERSION, config, files, sorted(tensors_of(folder)), trusted, recipes, versions())
    path = run.cache / f"recipes-{key[:16]}.json"
    refusals = _stored(path, len(recipes))
    if refusals is None:
        refusals = _found(run, folder, trusted, recipes, cancel, log)
        with suppress(OSError, FaqError), atomic_text(path) as file:
            json.dump(refusals, file)
    for recipe, why in zip(run.settings.recipes, refusals, strict=True):
        if why:
            raise UsageError(f"{recipe.method} cannot quantize {folder}: {why}")


def _found(run: Run, folder: Path, trusted: bool, recipes: list[Any], cancel: CancelToken, log: Path) -> list[str]:
    spec = {"path": str(folder), "trust_remote_code": trusted, "recipes": recipes}
    messages: list[dict[str, Any]] = []
    run_worker("check_recipes", spec, messages.append, cancel, log, without_keys(run.settings))
    return [str(why) for why in messages[0]["refusals"]]


def _stored(path: Path, count: int) -> list[str] | None:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    good = isinstance(body, list) and len(body) == count and all(isinstance(why, str) for why in body)
    return body if good else None
