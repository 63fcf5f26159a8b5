"""The JSON schemas of tests/fixtures/schemas allow nothing they do not name."""

from __future__ import annotations

from typing import Any

import pytest

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
