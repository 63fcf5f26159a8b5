"""The seed that a person looks at, shared by the panes: the next pane opens on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual.message import Message
from textual.widget import Widget


@dataclass
class SeedSelected(Message):
    seed_id: str


def selected_seed(app: Any) -> str | None:
    return getattr(app, "selected_seed", None)


def select_seed(widget: Widget, seed_id: str) -> None:
    """Remember it on the app, and tell those above."""
    app: Any = widget.app
    if selected_seed(app) != seed_id:
        app.selected_seed = seed_id
        widget.post_message(SeedSelected(seed_id))
