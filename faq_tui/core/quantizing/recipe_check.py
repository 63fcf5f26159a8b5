"""Refuse a target that a stage cannot use, and recipes that cannot quantize it, before the run costs anything."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.headers import linear_shapes, tensors_of, weight_files
from faq_tui.core.models.memory_need import LAYERS
from faq_tui.core.quantizing.output import versions
from faq_tui.core.quantizing.parallel import gpus_refusal
from faq_tui.core.run.run import Run
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

VERSION = 4  # increase this number if new code finds other refusals for the same files

# Every method and every stage supports these architectures. No worker process is needed for such a model if its files
# hold exactly what config.json asks for.
PLAIN_TYPES = {"llama", "mistral", "qwen2", "qwen3"}
DTYPES = {None, "bfloat16", "float16", "float32"}


class UnusableTarget(UsageError):
    """A stage or a recipe cannot use the target because of its architecture."""


def check_gpus(run: Run) -> None:
    """Raise UsageError if this machine has fewer GPUs than an artefact needs.

    The machines of a cluster are not checked here: Ray knows their GPUs.
    """
    settings = run.settings
    if settings.cluster.address is not None and settings.target.device != "cpu":
        return
    if why := gpus_refusal(settings.quantize.gpus_per_artefact, settings.target.device):
        raise UsageError(why)


def check_recipes(
    run: Run, folder: Path, cancel: CancelToken, log: Path, *, logits: bool = False, recipes: bool = True
) -> None:
    """Raise UnusableTarget if a stage cannot use the model in `folder`, or if a recipe cannot quantize it.

    `logits` says whether a stage needs the model's logits. If `recipes` is false, the recipes are not checked. If the
    folder has no weights yet, only problems of config.json are found.

    The check takes some seconds for an unusual model. The result is stored in the run's cache. If the files, the
    recipes or the packages change, the check runs again.
    """
    config, target, weights = read_config(folder), run.settings.target, any(folder.glob("*.safetensors"))
    chosen = run.settings.recipes if recipes and weights else []
    by_layers = target.read == LAYERS and weights
    if not (chosen or logits or by_layers) or (target.trust_remote_code and not weights):
        return  # without weights, the code in the model's folder is not there, either
    if config.get("model_type") in PLAIN_TYPES and (not weights or _is_plain(folder, config)):
        return
    spec = {
        "path": str(folder),
        "trust_remote_code": target.trust_remote_code,
        "recipes": [recipe.identity() for recipe in chosen],
        "logits": logits,
        "by_layers": by_layers,
    }
    found = weight_files(folder) if weights else []
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in found]
    key = digest(VERSION, config, files, sorted(tensors_of(folder)) if weights else [], spec, versions())
    path = run.cache / f"recipes-{key[:16]}.json"
    refusals = _stored(path, 1 + len(chosen))
    if refusals is None:
        refusals = _found(run, spec, cancel, log)
        with suppress(OSError, FaqError), atomic_text(path) as file:
            json.dump(refusals, file)
    of_model, *of_recipes = refusals
    if of_model:
        raise UnusableTarget(of_model)
    for recipe, why in zip(chosen, of_recipes, strict=True):
        if why:
            raise UnusableTarget(f"{recipe.method} cannot quantize {folder}: {why}")


def _is_plain(folder: Path, config: dict[str, Any]) -> bool:
    """True if the files hold exactly the matrices that config.json asks for, and no others.

    The function is for the architectures in `PLAIN_TYPES`.
    """
    shapes, tensors = linear_shapes(folder), tensors_of(folder)
    if config.get("dtype", config.get("torch_dtype")) not in DTYPES:
        return False
    numbers = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    if not all(type(config.get(key)) is int and config[key] > 0 for key in numbers):
        return False
    hidden, width, layers, heads, pairs = (config[key] for key in numbers)
    head = config.get("head_dim") or hidden // heads
    expected = {
        f"self_attn.{name}_proj": (n * head, hidden) for name, n in (("q", heads), ("k", pairs), ("v", pairs))
    }
    expected["self_attn.o_proj"] = (hidden, heads * head)
    expected |= {"mlp.gate_proj": (width, hidden), "mlp.up_proj": (width, hidden), "mlp.down_proj": (hidden, width)}
    return (
        shapes == {f"model.layers.{i}.{name}": shape for i in range(layers) for name, shape in expected.items()}
        and "model.norm.weight" in tensors
        and ("lm_head.weight" in tensors or config.get("tie_word_embeddings") is True)
        and all(size >= 2 * math.prod(shape) for _, shape, size in tensors.values())
    )


def _found(run: Run, spec: dict[str, Any], cancel: CancelToken, log: Path) -> list[str]:
    """The reason why the stages cannot use the model, and then the reason for each recipe."""
    messages: list[dict[str, Any]] = []
    run_worker("check_recipes", spec, messages.append, cancel, log, without_keys(run.settings))
    return [str(why) for why in (messages[0]["model"], *messages[0]["refusals"])]


def _stored(path: Path, count: int) -> list[str] | None:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    good = isinstance(body, list) and len(body) == count and all(isinstance(why, str) for why in body)
    return body if good else None
