"""A dialog that accepts many of the judge's picks at once, if they have a clear lead."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import Input

from faq_tui.core.judging.picking import clear_picks
from faq_tui.core.store.judged import Standing
from faq_tui.tui.widgets.dialog import Dialog
from faq_tui.tui.widgets.line_input import LineInput
from faq_tui.tui.widgets.text import LiteralText

LONGEST = 12  # maximum number of characters of the margin


class AcceptClear(Dialog[float]):
    """Asks for a margin. Returns the margin, or None if the user cancels.

    The judge's pick of a seed is accepted if its score exceeds the second-best score by more than the margin.
    """

    DEFAULT_CSS = """
    AcceptClear > #dialog { padding: 1 2; }
    AcceptClear .question, AcceptClear .effect { width: 1fr; height: auto; }
    AcceptClear Input { margin: 1 0; }
    """
    HINT = "press enter to accept these picks, esc to close"

    def __init__(self, standings: Sequence[Standing], margin: float) -> None:
        """`standings` are the seeds that the filter shows. `margin` is the margin that the field shows at first."""
        super().__init__("Accept clear picks")
        self._standings, self._margin = standings, margin

    def body(self) -> ComposeResult:
        yield LiteralText(
            "The judge's pick is accepted for each seed that is not reviewed yet, if the best score leads the "
            "second-best score by more than this margin:",
            classes="question",
        )
        yield LineInput(f"{self._margin:g}", max_length=LONGEST, compact=True)
        yield LiteralText(self._effect(f"{self._margin:g}"), classes="effect")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(".effect", LiteralText).show(self._effect(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        margin = margin_in(event.value)
        if margin is not None:
            self.dismiss(margin)

    def _effect(self, text: str) -> str:
        margin = margin_in(text)
        if margin is None:
            return "Enter a number that is not negative, such as 1.5."
        open_seeds = [one for one in self._standings if one.override is None and one.usable]
        count = len(clear_picks(self._standings, margin))
        left = len(open_seeds) - count
        return f"Enter accepts {count:,} of {len(open_seeds):,} open picks. {left:,} stay for your review."


def margin_in(text: str) -> float | None:
    """The number in `text`; None if `text` is no number, or if the number is negative or infinite."""
    try:
        margin = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return margin if math.isfinite(margin) and margin >= 0 else None
