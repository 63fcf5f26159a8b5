"""The footer is a line of keys. It begins with keys of the pane and always ends with the keys for help and quit.

If some keys of the pane do not fit into the line, they are left out, and the help key has the label MORE.
"""

from __future__ import annotations

from itertools import groupby

from rich.text import Text
from textual.reactive import reactive

from faq_tui.tui.widgets.text import LiteralText

GAP = "  "
HELP, MORE = "Help", "more"  # the labels HELP and MORE must have the same length


class KeyFooter(LiteralText):
    """Shows keys with their labels.

    `keys` and `always` are lists of (key, label). All of `always` are shown at the end of the line. The rest of the
    line shows entries of `keys`, beginning with the first, until the line is full. The first of `keys` is the most
    important key.

    Neighbouring keys with equal labels share one label. If some `keys` are left out, the label HELP becomes MORE.
    """

    keys: reactive[list[tuple[str, str]]] = reactive(list, repaint=False)
    always: reactive[list[tuple[str, str]]] = reactive(list, repaint=False)

    def watch_keys(self) -> None:
        self._draw()

    def watch_always(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        room = self.size.width - _width(self.always) + len(GAP)  # no gap is needed after the last key
        every = _together(self.keys)
        shown = list(every)
        while shown and _width(shown) > room:
            shown.pop()
        line = Text(overflow="ellipsis", no_wrap=True)
        for key, label in [*shown, *self.always]:
            line.append(f"{key} ", "bold")
            line.append(f"{MORE if label == HELP and len(shown) < len(every) else label}{GAP}")
        line.rstrip()
        self.show(line)


def _together(keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join neighbouring keys with equal labels, as in `1 2 3 Pick`."""
    return [(" ".join(key for key, _ in group), label) for label, group in groupby(keys, key=lambda pair: pair[1])]


def _width(keys: list[tuple[str, str]]) -> int:
    return sum(len(key) + 1 + len(label) + len(GAP) for key, label in keys)
