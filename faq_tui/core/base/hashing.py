"""Stable hashes of plain values. They serve as keys, and as signatures that show whether work is stale."""

import hashlib
import json
from typing import Any


def digest(*parts: Any, length: int = 16) -> str:
    """The first `length` hex digits of SHA-256 over the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
