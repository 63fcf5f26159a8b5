"""`faq-tui demo`: it writes its settings once, and opens the app on a run that starts at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.cli import screen
from faq_tui.core.settings.write import demo_text
from tests.support.shell import faq_tui


def test_the_app_opens_on_settings_that_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[Path, dict[str, Any]]] = []
    monkeypatch.setattr(screen, "show_run", lambda folder, **options: opened.append((folder, options)))
    run = tmp_path / "demo"
    assert faq_tui("demo", "--dir", run).code == 0
    assert (run / "faq.toml").read_text(encoding="utf-8") == demo_text()
    mine = demo_text() + "# mine\n"
    (run / "faq.toml").write_text(mine, encoding="utf-8")
    assert faq_tui("demo", "--dir", run).code == 0
    assert (run / "faq.toml").read_text(encoding="utf-8") == mine
    assert opened == [(run, {"start": True})] * 2
