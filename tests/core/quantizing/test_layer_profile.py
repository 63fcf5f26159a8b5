"""The profile of a model's layers is read from headers and comes back from JSON."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.quantizing.layer_profile import LayerProfile, profile_of
from tests.support.tiny import make_tiny_model


def test_a_profile_is_read_from_headers_and_comes_back_from_json(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model", layers=2)
    profile = profile_of(folder, 8, 400, 64)
    assert sum(count for _, _, count in profile.shapes) == 7 and profile.layers == 2 and profile.hidden == 128
    assert profile.active == 1.0 and 0 < profile.resident_bytes < profile.total_bytes
    assert LayerProfile.from_json(profile.to_json()) == profile
