"""Where the tests find the repository and what is stored in it for them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]  # the repository
FIXTURES = ROOT / "tests" / "fixtures"
SCHEMAS = FIXTURES / "schemas"  # JSON schemas of what other programs read
EXTENSION_PACKAGE = FIXTURES / "extension_package"
