"""Does a folder hold what vLLM's and SGLang's loaders read first, in the words that they expect?"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.headers import INDEX, tensors_of

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
WORK = ("offload_to_disk_path", ".work")  # a path of this machine

Config = Mapping[str, Any]


def problems(folder: Path) -> list[str]:
    """Everything a loader would stumble over; empty if it would not."""
    found = []
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"config.json cannot be read ({error})"]
    if not config.get("architectures"):
        found.append("config.json names no architecture")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        found.append(f"there is no tokenizer ({', '.join(TOKENIZERS)})")
    if not (folder / "generation_config.json").is_file():
        found.append("there is no generation_config.json: servers would take their own sampling")
    if not _has_template(folder):
        found.append("there is no chat template")
    text = json.dumps(config)
    found += [f"config.json names a local path ({word})" for word in WORK if word in text]
    found += _weights(folder)
    quantization = config.get("quantization_config")
    if quantization is not None:
        check = QUANTIZATIONS.get(quantization.get("quant_method"))
        if check is None:
            found.append(f"quantization_config has quant_method {quantization.get('quant_method')!r}")
        else:
            found += check(quantization, set(tensors_of(folder)))
    return found


def check_servable(folder: Path) -> None:
    """Raise FaqError naming the first thing that is missing, other than what the target itself lacks.

    A target without a chat template or generation_config.json can be served too: that is for `problems` to tell.
    """
    grave = [one for one in problems(folder) if not one.startswith("there is no")]
    if grave:
        raise FaqError(f"{folder.name} cannot be served as it came out: {grave[0]}; quantize it again")


# What vLLM's kernels have, where we can write more; others refuse a folder only when it is served.
KERNELS: dict[str, dict[str, tuple[Any, ...]]] = {
    "gptq": {"bits": (4, 8), "group_size": (-1, 32, 64, 128), "sym": (True,), "desc_act": (False,)},
    "awq": {"bits": (4,), "group_size": (-1, 32, 64, 128), "zero_point": (True,)},
}


def doubts(folder: Path) -> list[str]:
    """Why vLLM may refuse a folder that is whole: a sentence for each setting that its kernels lack."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config", {})
    method = config.get("quant_method")
    return [
        f"vLLM has {method} with {key} {' or '.join(map(str, has))}: with {config[key]} it may refuse this folder"
        for key, has in KERNELS.get(method, {}).items()
        if config.get(key, has[0]) not in has
    ]


def serve_commands(folder: Path) -> dict[str, str]:
    """By engine: what to type. vLLM and SGLang both find the quantization in config.json themselves."""
    place = shlex.quote(str(folder))
    return {
        "vllm": f"vllm serve {place}",
        "sglang": f"python -m sglang.launch_server --model-path {place}",
    }


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        body = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(body.get("chat_template"))


def _weights(folder: Path) -> list[str]:
    """Loaders read the files of the index where there is one, else every file: both must hold the same."""
    index = folder / INDEX
    if not index.is_file():
        return []
    files = sorted(folder.glob("*.safetensors"))
    there = {name: path.name for name, (path, _, _) in tensors_of(folder, files).items()}
    listed = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
    wrong = sorted(name for name in listed.keys() | there.keys() if listed.get(name) != there.get(name))
    return [f"model.safetensors.index.json and the files disagree about {wrong[0]}"] if wrong else []


def _gptq(config: Config, tensors: set[str]) -> list[str]:
    """vLLM's GPTQConfig and GPTQMarlinConfig; SGLang has both from there."""
    found = _lacking(config, ("bits", "group_size", "desc_act", "sym"))
    if config.get("checkpoint_format", "gptq") not in ("gptq", "gptq_v2"):
        found.append(f"quantization_config has checkpoint_format {config['checkpoint_format']!r}")
    return found + _packed(tensors, ("qweight", "qzeros", "scales", "g_idx"))


def _awq(config: Config, tensors: set[str]) -> list[str]:
    """vLLM's AWQConfig and AWQMarlinConfig: 4 bits, GEMM layout."""
    found = _lacking(config, ("bits", "group_size", "zero_point"))
    if str(config.get("version", "gemm")).lower() != "gemm":
        found.append(f"quantization_config has version {config['version']!r}, not gemm")
    return found + _packed(tensors, ("qweight", "qzeros", "scales"))


def _compressed(config: Config, tensors: set[str]) -> list[str]:
    """vLLM's CompressedTensorsW8A8Int8: groups that target Linear, weights with a scale beside each."""
    found = _lacking(config, ("format", "config_groups", "ignore"))
    scaled = {name.removesuffix("_scale") for name in tensors if name.endswith(".weight_scale")}
    lost = sorted(scaled - tensors)
    if not scaled or lost:
        found.append(f"no weights go with the scales{f' of {lost[0]}' if lost else ''}")
    return found


QUANTIZATIONS: dict[str, Callable[[Config, set[str]], list[str]]] = {
    "gptq": _gptq,
    "awq": _awq,
    "compressed-tensors": _compressed,
}


def _lacking(config: Config, keys: tuple[str, ...]) -> list[str]:
    return [f"quantization_config lacks {key}" for key in keys if key not in config]


def _packed(tensors: set[str], parts: tuple[str, ...]) -> list[str]:
    modules = [name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")]
    lost = sorted(f"{module}.{part}" for module in modules for part in parts if f"{module}.{part}" not in tensors)
    if not modules:
        return ["no packed weights are in the files"]
    return [f"{lost[0]} is missing"] if lost else []
