"""The JSON schemas of tests/fixtures/schemas allow nothing they do not name."""

from __future__ import annotations

from typing import Any

import pytest

from faq_tui.core.evaluation.kinds import KINDS
from faq_tui.core.extensions import METHODS, METRICS
from faq_tui.core.settings.recipe import model_of
from tests.support.schemas import schema


def objects(node: Any) -> list[dict[str, Any]]:
    """Every object schema inside a schema."""
    found = [node] if isinstance(node, dict) and node.get("type") == "object" else []
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return found + [inner for part in parts for inner in objects(part)]


@pytest.mark.parametrize(
    "name", ["status", "event", "doctor", "report", "compare", "units", "batch-read", "batch-write"]
)
def test_the_schemas_are_strict(name: str) -> None:
    for part in objects(schema(name)):
        free = part.get("additionalProperties")
        assert free is False or (isinstance(free, dict) and not part.get("properties")), part
        if part.get("properties"):
            assert set(part["required"]) == set(part["properties"]), "what can be left out is not strict"


def test_the_report_may_hold_every_metric_kind_of_text_and_key_of_a_recipe() -> None:
    report = schema("report")["properties"]
    texts = report["texts"]["items"]["properties"]
    assert set(texts["metrics"]["items"]["enum"]) == set(METRICS.builtin)
    assert set(texts["kind"]["enum"]) == set(KINDS)
    recipe = report["run"]["properties"]["recipes"]["items"]["properties"]
    later = {key.strip("^$") for key in report["run"]["properties"]["recipes"]["items"]["patternProperties"]}
    for method in METHODS.builtin:
        assert set(model_of(method).model_fields) <= set(recipe) | later, method
