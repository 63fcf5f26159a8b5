"""Everything that the report says, as plain data: `report.json`, and what the Markdown is made from."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import faq_tui
from faq_tui.core.evaluation import environment
from faq_tui.core.evaluation.bootstrap import LEVEL
from faq_tui.core.evaluation.identity import ANSWERS
from faq_tui.core.evaluation.metrics import KL, METRICS
from faq_tui.core.evidence import Evidence, collect
from faq_tui.core.report.facts import what_was_run
from faq_tui.core.report.kinship import notices
from faq_tui.core.run import Run

SCHEMA = 1


def document(run: Run) -> dict[str, Any]:
    """The report of `run`. Numbers that are not finite are null. Raises UsageError if nothing is measured."""
    evidence = collect(run)
    known = environment.read(run)
    body = {
        "schema": SCHEMA,
        "faq_tui": faq_tui.__version__,
        "measured": datetime.fromtimestamp(evidence.measured, UTC).isoformat(timespec="seconds"),
        "main_metric": KL,
        "metrics": METRICS,
        "interval": {"level": LEVEL, "resamples": run.settings.evaluate.bootstrap, "over": "items"},
        "notices": notices(run.settings),
        "texts": _texts(run, evidence, known),
        "models": [asdict(row) for row in evidence.rows],
        "comparisons": [asdict(comparison) for comparison in evidence.comparisons],
        "run": what_was_run(run),
        "evaluation": {
            "device": evidence.device,
            "device_name": known.get("device_name"),
            "dtype": evidence.dtype,
            "versions": known.get("versions", {}),
        },
    }
    plain: dict[str, Any] = _plain(body)
    return plain


def _texts(run: Run, evidence: Evidence, known: dict[str, Any]) -> list[dict[str, Any]]:
    about = known.get("texts", {})
    return [
        {
            **asdict(text),
            "kind": "answers" if text.name == ANSWERS else "prose",
            "window": None if text.name == ANSWERS else run.settings.evaluate.window,
            "about": about.get(text.name, {}).get("about"),
        }
        for text in evidence.texts
    ]


def _plain(value: Any) -> Any:
    """JSON's own types only."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
