"""The sections of the settings and their keys."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import settings as hypothesis_settings

from faq_tui.core.extensions import METHODS
from faq_tui.core.settings.recipe import model_of


def sections() -> dict[str, Any]:
    from faq_tui.core.settings import evaluate as b
    from faq_tui.core.settings.cluster import ClusterSettings
    from faq_tui.core.settings.evaluate import Evaluate
    from faq_tui.core.settings.judge import JudgeSettings
    from faq_tui.core.settings.recipe import Quantize
    from faq_tui.core.settings.schema import Activations
    from faq_tui.core.settings.sets import Assemble, SetPlan
    from faq_tui.core.settings.source import Source
    from faq_tui.core.settings.target import Preset, Seeds, Target

    every_recipe = {key: field for name in METHODS.names() for key, field in model_of(name).model_fields.items()}
    return {
        **{"target": Target, "seeds": Seeds, "sources.elder": Source, "judge": JudgeSettings, "assemble": Assemble},
        **{"sets.mixed": SetPlan, "activations": Activations, "recipes": SimpleNamespace(model_fields=every_recipe)},
        **{"quantize": Quantize, "cluster": ClusterSettings, "evaluate": Evaluate},
        **{"evaluate.lm_eval": b.LmEval, "evaluate.evalscope": b.Evalscope, "evaluate.serve": b.Serve},
        "preset": Preset,
    }


UNTIMED = hypothesis_settings(deadline=None)  # the first settings that are read load judges and methods
ELDER = {"base_url": "http://elder:8000/v1", "model": "Big"}


def minimal() -> dict[str, Any]:
    return {"target": {"model": "m"}, "seeds": {"path": "s.jsonl"}, "sources": {}, "recipes": [{}]}


def toml(raw: dict[str, Any]) -> str:
    """The tables as TOML's inline values, which JSON's are but for `:`."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {value(v)}" for k, v in item.items()) + "}"
        if isinstance(item, list):
            return "[" + ", ".join(map(value, item)) + "]"
        return json.dumps(item).replace("Infinity", "inf").replace("NaN", "nan")

    return "\n".join(f"{json.dumps(key)} = {value(item)}" for key, item in raw.items())
