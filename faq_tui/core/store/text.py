"""Text from models, files and servers, made fit for SQLite."""

from __future__ import annotations


def storable(text: str) -> str:
    """Lone surrogates, which JSON and file names can hold and UTF-8 cannot, become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text
