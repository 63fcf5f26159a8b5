"""Containers without a background: their children cover them completely."""

from __future__ import annotations

from textual.containers import Container, Horizontal, Vertical


class CoveredContainer(Container):
    """A container that draws no background and must have no borders. Uncovered parts have the screen's colour."""

    BLANK = True


class CoveredVertical(Vertical):
    """A covered container with its children one above the other."""

    BLANK = True


class CoveredHorizontal(Horizontal):
    """A covered container with its children side by side."""

    BLANK = True
