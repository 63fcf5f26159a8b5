"""The selected seed. All panes share one selection, so each pane shows the same seed when it opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual.message import Message
from textual.widget import Widget


@dataclass
class SeedSelected(Message):
    """The user has selected another seed."""

    seed_id: str


def selected_seed(app: Any) -> str | None:
    return getattr(app, "selected_seed", None)


def select_seed(widget: Widget, seed_id: str) -> None:
    """Store the selected seed in the app. Post SeedSelected if the selection has changed."""
    app: Any = widget.app
    if selected_seed(app) != seed_id:
        app.selected_seed = seed_id
        widget.post_message(SeedSelected(seed_id))
