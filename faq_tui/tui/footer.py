"""The footer is a line of keys. The keys of the pane come first, and the line always ends with the keys for help and
quit.

If some keys of the pane do not fit into the line, they are left out, and the help key has the label MORE. A click on
a key or on its label does the same as the key.
"""

from __future__ import annotations

from itertools import groupby

from rich.cells import cell_len
from rich.text import Text
from textual.events import Click
from textual.reactive import reactive

from faq_tui.tui.keys import shown
from faq_tui.tui.widgets.text import LiteralText

GAP = "  "
HELP, MORE = "Help", "more"  # the labels HELP and MORE must have the same length


class KeyFooter(LiteralText):
    """Shows keys with their labels.

    `keys` and `always` are lists of (key in Textual's spelling, label). The line always ends with all keys in
    `always`. The rest of the line shows as many of `keys` as fit, the most important key first.

    Neighbouring keys with equal labels share one label. If some `keys` are left out, the label HELP becomes MORE.
    """

    keys: reactive[list[tuple[str, str]]] = reactive(list, repaint=False)
    always: reactive[list[tuple[str, str]]] = reactive(list, repaint=False)

    def __init__(self, id: str = "footer") -> None:
        super().__init__(id=id)
        # for clicks: (range of cells of a key and its label, the key)
        self._places: list[tuple[range, str]] = []

    def watch_keys(self) -> None:
        self._draw()

    def watch_always(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def on_click(self, event: Click) -> None:
        cell = event.get_content_offset(self)
        key = next((key for cells, key in self._places if cell is not None and cell.x in cells), None)
        if key is not None:
            event.stop()
            self.app.simulate_key(key)

    def _draw(self) -> None:
        always = _together(self.always)
        room = self.size.width - _width(always) + len(GAP)  # the last key has no gap after it
        every = _together(self.keys)
        drawn = list(every)
        while drawn and _width(drawn) > room:
            drawn.pop()
        line, self._places = Text(overflow="ellipsis", no_wrap=True), []
        for keys, label in [*drawn, *always]:
            for key in keys:
                start = line.cell_len
                line.append(f"{shown(key)} ", "bold")
                self._places.append((range(start, line.cell_len), key))
            line.append(MORE if label == HELP and len(drawn) < len(every) else label)
            self._places[-1] = (range(self._places[-1][0].start, line.cell_len), self._places[-1][1])
            line.append(GAP)
        line.rstrip()
        self.show(line)


def _together(keys: list[tuple[str, str]]) -> list[tuple[list[str], str]]:
    """Join neighbouring keys with equal labels, as in `1 2 3 Pick`."""
    return [([key for key, _ in group], label) for label, group in groupby(keys, key=lambda pair: pair[1])]


def _width(keys: list[tuple[list[str], str]]) -> int:
    return sum(sum(cell_len(shown(key)) + 1 for key in names) + cell_len(label) + len(GAP) for names, label in keys)
