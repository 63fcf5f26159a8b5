"""Stable hashes of plain values. The hashes serve as keys and as signatures.

Finished work is stale if its signature has changed.
"""

import hashlib
import json
from typing import Any


def digest(*parts: Any, length: int = 16) -> str:
    """Write the parts as canonical JSON, and return the first `length` hex digits of its SHA-256."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
