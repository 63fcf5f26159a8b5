"""Containers whose children cover them, so that Textual need not draw their background first."""

from __future__ import annotations

from textual.containers import Container, Horizontal, Vertical


class CoveredContainer(Container):
    """For containers without borders; what is not covered has the background's colour."""

    BLANK = True


class CoveredVertical(Vertical):
    """The same, its children one above the other."""

    BLANK = True


class CoveredHorizontal(Horizontal):
    """The same, its children side by side."""

    BLANK = True
