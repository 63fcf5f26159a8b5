"""Check whether vLLM and SGLang can load a model folder, and give the commands that serve it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.dense import DENSE, WeightFormat, format_of, quantization_of
from faq_tui.core.models.headers import INDEX, tensors_of

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
# If one of these texts is in config.json, the file contains a local path.
WORK = ("offload_to_disk_path", ".work")


def problems(folder: Path) -> list[str]:
    """The reasons why a server would not load the folder. Each reason is one sentence.

    The list is empty if a server would load the folder.
    """
    sentences = []
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"config.json cannot be read ({error})"]
    if not config.get("architectures"):
        sentences.append("config.json names no architecture")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        sentences.append(f"there is no tokenizer ({', '.join(TOKENIZERS)})")
    if not (folder / "generation_config.json").is_file():
        sentences.append("there is no generation_config.json: servers would use their default sampling")
    if not _has_template(folder):
        sentences.append("there is no chat template")
    text = json.dumps(config)
    sentences += [f"config.json names a local path ({word})" for word in WORK if word in text]
    sentences += _weights(folder)
    quantization = config.get("quantization_config")
    if quantization is not None:
        format = format_of(quantization.get("quant_method"))
        if format is None or format is DENSE:
            sentences.append(f"quantization_config has quant_method {quantization.get('quant_method')!r}")
        else:
            sentences += format.problems(quantization, set(tensors_of(folder)))
    return sentences


def check_servable(folder: Path) -> None:
    """Raise FaqError with the first problem that `problems` finds.

    Missing files are not an error here, because a target can be served without a chat template or
    generation_config.json.
    """
    grave = [one for one in problems(folder) if not one.startswith("there is no")]
    if grave:
        raise FaqError(f"{folder.name} cannot be served: {grave[0]}; quantize it again")


def doubts(folder: Path) -> list[str]:
    """Settings of a complete folder that a server's CUDA kernels may not support.

    The list has one sentence for each setting.
    """
    quantization = quantization_of(folder) or {}
    format = format_of(quantization.get("quant_method"))
    return format.doubts(quantization) if format is not None else []


def serve_commands(folder: Path, format: WeightFormat = DENSE) -> dict[str, str]:
    """Map the name of each engine that can load the format to the command that serves the folder.

    The engines read the format from config.json.

    The result is empty if no engine can load the format. The folder need not exist.
    """
    path = shlex.quote(str(folder))
    commands = {
        "vllm": f"vllm serve {path}",
        "sglang": f"python -m sglang.launch_server --model-path {path}",
    }
    return {engine: command for engine, command in commands.items() if engine in format.servers}


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        body = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(body.get("chat_template"))


def _weights(folder: Path) -> list[str]:
    """Return a list with one problem if the index and the files do not match, else an empty list.

    Without an index, servers load every file.
    """
    index = folder / INDEX
    if not index.is_file():
        return []
    files = sorted(folder.glob("*.safetensors"))
    stored = {name: path.name for name, (path, _, _) in tensors_of(folder, files).items()}
    listed = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
    wrong = sorted(name for name in listed.keys() | stored.keys() if listed.get(name) != stored.get(name))
    return [f"model.safetensors.index.json and the files do not agree about {wrong[0]}"] if wrong else []
