"""Every set of the settings has a twin at equal tokens."""

from __future__ import annotations

from faq_tui.core.settings import (
    parse_settings,
)
from faq_tui.core.settings.recipe import build_recipe
from tests.support.settings_keys import ELDER, minimal, toml


def test_every_set_has_a_twin_at_equal_tokens() -> None:
    settings = parse_settings(toml(minimal() | {"sources": {"elder": ELDER, "own": ELDER}}))
    assert settings.set_names() == ("baseline", "elder", "own", "baseline-tokens", "elder-tokens", "own-tokens")
    assert parse_settings(toml(minimal())).set_names() == ("baseline",)
    assert build_recipe({"group_size": -1}).folder("elder") == "gptq-w4gc-elder"
