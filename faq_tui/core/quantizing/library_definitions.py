"""Find out whether the library GPTQModel can quantize an architecture, without importing the library."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

# GPTQModel 7.7 has definitions of these architectures, but they do not work with transformers 5.24. GPTQModel fails,
# leaves the experts out, or splits fused matrices, so that the written folder cannot be read.
BROKEN = frozenset(
    "glm glm4 glm4_moe gpt_neox gpt_oss granitemoe granitemoehybrid kimi_linear minimax minimax_m2 phi3".split()  # noqa: SIM905
)


@lru_cache(maxsize=1)
def known_types() -> frozenset[str]:
    """The values of `model_type` for which the installed GPTQModel has a definition.

    This function reads the values from the library's source files, because importing the library takes seconds. The
    set is empty if the library is not installed, or if this function cannot find the values in the source files.
    """
    spec = importlib.util.find_spec("gptqmodel")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    try:
        tree = ast.parse(Path(places[0], "models", "auto.py").read_text(encoding="utf-8"))
    except (IndexError, OSError, SyntaxError, ValueError):
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        target, keys = node.targets[0], list[ast.expr | None]()
        if isinstance(target, ast.Name) and target.id == "MODEL_MAP" and isinstance(node.value, ast.Dict):
            keys = node.value.keys
        elif isinstance(target, ast.Subscript) and ast.unparse(target.value) == "MODEL_MAP":
            keys = [target.slice]
        found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    return frozenset(found)


def library_refusal(config: Mapping[str, Any]) -> str:
    """The reason why GPTQModel cannot quantize the model with this config.json; "" if no reason is known."""
    kind = _kind(config)
    if config.get("vision_config"):
        return "the library GPTQModel calibrates models with vision parts only on conversations"
    return f"the library GPTQModel cannot quantize the architecture {kind}" if kind in BROKEN else ""


def is_advisable(config: Mapping[str, Any]) -> bool:
    """True if GPTQModel has a working definition of the model with this config.json.

    For other architectures, the library guesses the modules from their names.
    """
    return _kind(config) in known_types() and not library_refusal(config)


def _kind(config: Mapping[str, Any]) -> str:
    return str(config.get("model_type", "")).lower()
