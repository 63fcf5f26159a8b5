"""The settings in `faq.toml`: the schema of its sections, and functions that read, write and edit the file."""

from faq_tui.core.settings.evaluate import Evaluate
from faq_tui.core.settings.judge import MIX, JudgeSettings
from faq_tui.core.settings.load import load_settings, parse_settings
from faq_tui.core.settings.recipe import Recipe, build_recipe, default_recipe
from faq_tui.core.settings.schema import Activations, Settings
from faq_tui.core.settings.section import BASELINE, EMBEDDED, TOKENS_SUFFIX
from faq_tui.core.settings.sets import Assemble, SetPlan
from faq_tui.core.settings.source import Endpoint, Sampling, Source
from faq_tui.core.settings.target import Seeds, Target

__all__ = [
    "BASELINE",
    "EMBEDDED",
    "MIX",
    "TOKENS_SUFFIX",
    "Activations",
    "Assemble",
    "Endpoint",
    "Evaluate",
    "JudgeSettings",
    "Recipe",
    "Sampling",
    "Seeds",
    "SetPlan",
    "Settings",
    "Source",
    "Target",
    "build_recipe",
    "default_recipe",
    "load_settings",
    "parse_settings",
]
