"""`faq-tui demo`: it writes its settings once, opens the app on a run that starts, and ends with its clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.cli import foreground, screen
from faq_tui.core.base.errors import ExitCode
from faq_tui.core.report import answer, document, formats
from faq_tui.core.run.run import open_run
from faq_tui.core.settings.write import demo_text
from faq_tui.core.store import stages
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


def test_another_run_is_not_continued_as_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "show_run", lambda *_, **__: pytest.fail("the app was opened"))
    (tmp_path / "faq.toml").write_text('[target]\nmodel = "embedded"\n[seeds]\npath = "starter"\n')
    for options in ((), ("--headless",), ("--json",)):
        refused = faq_tui("demo", "--dir", tmp_path, *options)
        assert refused.code == ExitCode.USAGE and not refused.out and not (tmp_path / "faq.db").exists()
        assert f"{tmp_path} holds a run that is not the demo: choose another folder" in refused.err
        assert f"`faq-tui run {tmp_path}`" in refused.err


def test_a_headless_demo_ends_with_the_time_of_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(folder: Path, *_: Any) -> None:
        with open_run(folder) as run:
            for name, seconds in (("seeds", 3), ("regenerate", 125), ("judge", None)):
                stages.begin(run.store, name, "s", "j")
                with run.store.writing() as db:
                    db.execute("UPDATE stages SET finished = started + ? WHERE stage = ?", (seconds, name))

    monkeypatch.setattr(document, "document", lambda _run: {"comparisons": []})
    monkeypatch.setattr(formats, "render_document", lambda *_: "# A model")
    monkeypatch.setattr(answer, "in_short", lambda _body: [])
    monkeypatch.setattr(foreground, "run_in_foreground", pretend)
    done = faq_tui("demo", "--headless", "--dir", tmp_path / "demo")
    assert done.code == 0, done.err
    assert "- seeds: 3.0 s\n- regenerate: 2 min 05 s\n- **all stages: 2 min 08 s**\n" in done.out
