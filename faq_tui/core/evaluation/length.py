"""How many tokens a model reads at once."""

from __future__ import annotations

import json
from typing import Any

from faq_tui.core.models.hub import local_folder
from faq_tui.core.run import Run
from faq_tui.core.target import TargetModel

DEFAULT = 2048
KEYS = ("n_positions", "max_position_embeddings", "n_ctx")  # as lm_eval's resolve_max_length asks for them


def prose_window(run: Run, target: TargetModel) -> int:
    """Tokens of a window of prose: `evaluate.window`, or as many as the target can read."""
    return min(run.settings.evaluate.window, longest_input(target))


def longest_input(target: TargetModel) -> int:
    """From the model's configuration; 2048 where it does not say."""
    config: dict[str, Any] = json.loads(
        (local_folder(target.path, only_config=True) / "config.json").read_text(encoding="utf-8")
    )
    inner = config.get("text_config")
    for part in (inner if isinstance(inner, dict) else {}, config):
        for key in KEYS:
            if isinstance(part.get(key), int) and part[key] > 1:
                return int(part[key])
    return DEFAULT
