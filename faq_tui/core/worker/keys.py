"""API keys that a worker child does not need, and so does not get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faq_tui.core.settings import Settings

FETCHING = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # a worker fetches gated models with these


def without_keys(settings: Settings, needed: str | None = None) -> dict[str, str]:
    """Every variable that an `api_key_env` of the settings names, as an empty one; `needed` is left as it is."""
    return dict.fromkeys(set(_named(settings.model_dump())) - {*FETCHING, needed}, "")


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if name := value.get("api_key_env"):
            yield str(name)
        for inner in value.values():
            yield from _named(inner)
