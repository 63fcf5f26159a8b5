"""`faq.toml`: its schema, its reading (with errors a person understands) and its first writing."""

from faq_tui.core.settings.load import load_settings, parse_settings
from faq_tui.core.settings.schema import (
    Assemble,
    Evaluate,
    Judge,
    Recipe,
    Sampling,
    Seeds,
    Settings,
    Source,
    Target,
)

__all__ = [
    "Assemble",
    "Evaluate",
    "Judge",
    "Recipe",
    "Sampling",
    "Seeds",
    "Settings",
    "Source",
    "Target",
    "load_settings",
    "parse_settings",
]
