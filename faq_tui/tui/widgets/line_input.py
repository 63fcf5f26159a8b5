"""A text field of one line whose changes can be undone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

MOST_STEPS = 100  # the number of changes that can be undone


class LineInput(Input):
    """Textual's text field, with undo and redo on the keys of Textual's text area.

    A key such as ctrl+u deletes a whole line, and a pasted text may replace it. Without undo, the text would be lost.
    Characters that are typed or deleted one after another are one step, which ends at a space.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z,super+z", "undo", "Undo", show=False),
        Binding("ctrl+y,super+y", "redo", "Redo", show=False),
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._before: list[str] = []  # earlier texts, oldest first
        self._after: list[str] = []  # undone texts
        self._kind = ""  # what the last change did: "typed", "deleted" or ""
        self._restoring = False
        super().__init__(*args, **kwargs)

    def watch_value(self, before: str, now: str) -> None:
        if before == now or self._restoring or not self.is_mounted:
            return
        kind = _kind(before, now)
        if not kind or kind != self._kind:
            self._before = [*self._before[-MOST_STEPS + 1 :], before]
        self._kind, self._after = ("" if kind == "typed" and now[-1:] == " " else kind), []

    def action_undo(self) -> None:
        self._restore(self._before, self._after)

    def action_redo(self) -> None:
        self._restore(self._after, self._before)

    def _restore(self, texts: list[str], others: list[str]) -> None:
        if not texts:
            self.app.bell()
            return
        present, wanted = self.value, texts.pop()
        others.append(present)
        self._restoring = True
        try:
            self.value = wanted
        finally:
            self._restoring = False
        self._kind = ""
        self.cursor_position = _end_of_change(present, wanted)


def _kind(before: str, now: str) -> str:
    """The kind of a change of one character; "" for every other change."""
    if abs(len(before) - len(now)) != 1:
        return ""
    shorter, longer = sorted((before, now), key=len)
    start = _alike(shorter, longer)
    if longer[start + 1 :] != shorter[start:]:
        return ""
    return "typed" if len(now) > len(before) else "deleted"


def _end_of_change(before: str, now: str) -> int:
    """The end of the part of `now` that `before` does not have."""
    start = _alike(before, now)
    same = _alike(reversed(before[start:]), reversed(now[start:]))
    return len(now) - same


def _alike(one: Iterable[str], other: Iterable[str]) -> int:
    """The number of characters before the first difference."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
