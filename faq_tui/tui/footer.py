"""The footer shows as many keys of the visible pane as fit, and always the keys for help and quit.

If some keys do not fit, the help key has the label MORE.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.text import Text

from faq_tui.tui.widgets.text import LiteralText

GAP = "  "
HELP, MORE = "Help", "more"  # both labels must have the same length


class KeyFooter(LiteralText):
    def __init__(self) -> None:
        super().__init__(id="footer")
        self._keys: list[tuple[str, str]] = []
        self._always: list[tuple[str, str]] = []

    def show_keys(self, keys: Iterable[tuple[str, str]], always: Iterable[tuple[str, str]]) -> None:
        """Show (key, label) pairs: first as many of `keys` as fit, then all of `always`. `keys` begins with the most
        important key.

        Neighbouring keys with equal labels share one label. If some `keys` are left out, the label HELP becomes MORE.
        """
        self._keys, self._always = list(keys), list(always)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        room = self.size.width - _width(self._always) + len(GAP)  # the last key needs no gap after it
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
    """Join neighbouring keys with equal labels, as in `1 2 3 Pick`."""
    return [(" ".join(key for key, _ in group), label) for label, group in groupby(keys, key=lambda pair: pair[1])]


def _width(keys: list[tuple[str, str]]) -> int:
    return sum(len(key) + 1 + len(label) + len(GAP) for key, label in keys)
