"""What the app remembers for its next start: the theme, and for each run the pane and the layouts of the panes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import atomic_text
from faq_tui.tui.themes import theme_names

MOST_RUNS = 500
MOST_BYTES = 4 << 20  # a longer file was not written by faq-tui, so it is ignored


@dataclass(frozen=True)
class RunView:
    """The pane that was shown last, and the layout of each pane whose layout is not the usual one."""

    pane: str = ""
    layouts: Mapping[str, str] = field(default_factory=dict)


def view_file() -> Path:
    return user_state_path("faq-tui") / "view.json"


def last_theme(suited: str) -> str | None:
    """The theme that the user last chose in a terminal with the default theme `suited`; None if there is none."""
    theme = _read("themes").get(suited)
    return theme if isinstance(theme, str) and theme in theme_names() else None


def last_view(folder: Path) -> RunView:
    """The view of the run in `folder`; the default view if the run was not shown before."""
    found = _read("runs").get(str(folder))
    if not isinstance(found, dict) or not isinstance(found.get("layouts"), dict):
        return RunView()
    layouts = {str(scope): layout for scope, layout in found["layouts"].items() if isinstance(layout, str)}
    return RunView(str(found.get("pane", "")), layouts)


def remember_theme(suited: str, theme: str) -> None:
    """Store the theme, if the file can be written."""
    _write(_read("themes") | {suited: theme}, _read("runs"))


def remember_view(folder: Path, view: RunView) -> None:
    """Store the view of the run in `folder`, if the file can be written. The latest run comes first."""
    if last_view(folder) != view:
        others = {name: stored for name, stored in _read("runs").items() if name != str(folder)}
        runs = {str(folder): {"pane": view.pane, "layouts": dict(view.layouts)}} | others
        _write(_read("themes"), dict(list(runs.items())[:MOST_RUNS]))


def _read(part: str) -> dict[str, Any]:
    """Read the part of the file with this name; {} if the file is missing or damaged."""
    path = view_file()
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))[part]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _write(themes: dict[str, Any], runs: dict[str, Any]) -> None:
    path = view_file()
    with suppress(OSError, FaqError, UnicodeError):  # FaqError: the disk is full
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_text(path) as file:
            json.dump({"themes": themes, "runs": runs}, file)
