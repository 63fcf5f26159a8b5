"""The keys that matter here, from the registry: as many as fit, help and quit always."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from faq_tui.tui.widgets.text import LiteralText

GAP = "  "


class KeyFooter(LiteralText):
    def __init__(self) -> None:
        super().__init__(id="footer")
        self._keys: list[tuple[str, str]] = []
        self._always: list[tuple[str, str]] = []

    def show_keys(self, keys: Iterable[tuple[str, str]], always: Iterable[tuple[str, str]]) -> None:
        """(key, label) pairs: `keys` as far as they fit, `always` at the end."""
        self._keys, self._always = list(keys), list(always)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        room = self.size.width - _width(self._always)
        shown = list(self._keys)
        while shown and _width(shown) > room:
            shown.pop()
        line = Text(overflow="ellipsis", no_wrap=True)
        for key, label in [*shown, *self._always]:
            line.append(f"{key} ", "bold")
            line.append(f"{label}{GAP}")
        self.show(line)


def _width(keys: list[tuple[str, str]]) -> int:
    return sum(len(key) + 1 + len(label) + len(GAP) for key, label in keys)
