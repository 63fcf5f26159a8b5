"""Name the model of each recipe that is closest to the unquantized model, and the command that serves this model."""

from __future__ import annotations

import math
from typing import Any

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import ANSWERS
from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.evidence import Evidence
from faq_tui.core.models.dense import format_of_folder
from faq_tui.core.quantizing.servable import serve_commands
from faq_tui.core.report.formatting import escape, metric_title, value
from faq_tui.core.run.run import Run


def closest(run: Run, evidence: Evidence) -> list[dict[str, Any]]:
    """For each recipe, the model with the lowest KL on held-out answers, or on another text with KL.

    `models` is the number of different models of the recipe that were measured on this text. The result has no entry
    for a recipe with fewer than two such models. `serve` is the command; "" if no known server loads the folder.
    """
    texts = [text for text in evidence.texts if KL.name in evidence.metrics(text.name)]
    texts.sort(key=lambda text: text.kind != ANSWERS)
    if not texts:
        return []
    text = texts[0].name
    found: dict[str, list[tuple[float, str]]] = {}
    for row in evidence.rows:
        estimate = row.texts.get(text, {}).get(KL.name)
        if row.name == UNQUANTIZED or row.same_as or estimate is None or not math.isfinite(estimate.value):
            continue
        found.setdefault(row.recipe or "", []).append((estimate.value, row.name))
    return [
        {"recipe": recipe, "model": name, "text": text, "kl": kl, "models": len(models), "serve": _command(run, name)}
        for recipe, models in found.items()
        if len(models) > 1
        for kl, name in [min(models)]
    ]


def _command(run: Run, name: str) -> str:
    folder = run.models / name
    try:
        format = format_of_folder(folder)
    except (OSError, ValueError, AttributeError):  # the person has removed the folder or a part of it
        return ""
    return next(iter(serve_commands(folder.absolute(), format).values()), "")


def closest_lines(body: dict[str, Any]) -> list[str]:
    """The models and their commands, as lines of Markdown. `body` is what `document` returns."""
    titles = {text["name"]: text["title"] for text in body["texts"]}
    lines = []
    for one in body.get("closest", ()):
        about = f"{metric_title(KL.name)} on {escape(titles[one['text']])} {value(KL.name, one['kl'])}"
        among = f"the lowest of {one['models']} models of {escape(one['recipe'])}"
        serve = f" Serve it with `{one['serve']}`." if one["serve"] and "`" not in one["serve"] else ""
        lines.append(f"- Closest to the unquantized model is **{escape(one['model'])}**: {about}, {among}.{serve}")
    return lines
