"""The keys that matter here, from the registry: as many as fit, help and quit always.

Where some do not fit, the help's label says that there are more.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.text import Text

from faq_tui.tui.widgets.text import LiteralText

GAP = "  "
HELP, MORE = "Help", "more"  # of the same length


class KeyFooter(LiteralText):
    def __init__(self) -> None:
        super().__init__(id="footer")
        self._keys: list[tuple[str, str]] = []
        self._always: list[tuple[str, str]] = []

    def show_keys(self, keys: Iterable[tuple[str, str]], always: Iterable[tuple[str, str]]) -> None:
        """(key, label) pairs: `keys`, the most important first, as far as they fit; `always` at the end.

        Equal labels in a row share one. Of `always`, the one labelled HELP says MORE where `keys` are left out.
        """
        self._keys, self._always = list(keys), list(always)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        room = self.size.width - _width(self._always) + len(GAP)  # none is needed behind the last
        every = _together(self._keys)
        shown = list(every)
        while shown and _width(shown) > room:
            shown.pop()
        line = Text(overflow="ellipsis", no_wrap=True)
        for key, label in [*shown, *self._always]:
            line.append(f"{key} ", "bold")
            line.append(f"{MORE if label == HELP and len(shown) < len(every) else label}{GAP}")
        line.rstrip()
        self.show(line)


def _together(keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`1 2 3 Pick` for three keys that do the same to different things."""
    return [(" ".join(key for key, _ in group), label) for label, group in groupby(keys, key=lambda pair: pair[1])]


def _width(keys: list[tuple[str, str]]) -> int:
    return sum(len(key) + 1 + len(label) + len(GAP) for key, label in keys)
