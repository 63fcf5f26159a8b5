"""JSON schemas of what other programs read, in tests/fixtures/schemas, and the check of a value against one."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from tests.support.paths import SCHEMAS


def schema(name: str) -> Any:
    body = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(body)
    return body


def valid(name: str, body: Any) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(body)
