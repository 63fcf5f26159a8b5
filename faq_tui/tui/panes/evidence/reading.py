"""What was run with which data, and how spiky it is: the report's own lines, read in the pane."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from faq_tui.core.base.text import sanitize
from faq_tui.core.report.run_section import run_lines
from faq_tui.tui.widgets.flow import BAR, FlowView, wrap
from faq_tui.tui.widgets.short import ELLIPSIS

Part = tuple[str, str] | None
NO_SPIKES = "Nothing yet: the stage activations measures the target under each set."


def parts(body: dict[str, Any]) -> list[Part]:
    """(text, style), None a gap; `body` is the report as data. Empty without one."""
    if not body:
        return []
    said = [one["sentence"] for one in body["spikes"]["comparisons"]]
    lines = [_plain(line) for line in run_lines(body) if line.startswith(("-", "  -"))]
    return [
        ("How spiky the activations are (pane 4 draws them)", "bold"),
        ("\n" + "\n".join(said or [NO_SPIKES]), ""),
        None,
        ("What was run", "bold"),
        ("\n" + "\n".join(lines), ""),
    ]


def _plain(line: str) -> str:
    """A line of the report without its markup."""
    return re.sub(r"\\(.)", r"\1", line.replace("**", ""))


BORDER = 1
LEAST = 3  # lines


class Detail(FlowView):
    """The same height for every row, so that nothing jumps as the cursor goes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._texts: Sequence[str] = ()
        self._most = LEAST + BORDER
        self._said = "", ""
        self._lines = LEAST

    def fit(self, texts: Sequence[str], most: int) -> None:
        """Make room for each of `texts`, with the border at most `most` lines."""
        self._texts, self._most = texts, most
        width = self.size.width - BAR
        if width <= 0:  # not laid out yet: `on_resize` comes back to it
            return
        needed = max([LEAST, *(_height(text, width) for text in texts)])
        self._lines = max(1, min(needed, most - BORDER))
        if self.styles.height is None or self.styles.height.value != self._lines + BORDER:
            self.styles.height = self._lines + BORDER

    def say(self, text: str, last: str = "") -> None:
        """`text`, in full where `last` is empty; else as much of it as leaves a line for `last`."""
        self._said = text, last
        width = self.size.width - BAR
        if last and width > 0:
            text = f"{_shortened(text, width, max(1, self._lines - 1))}\n{last}"
        self.show([(text, "")])

    def on_resize(self) -> None:
        self.fit(self._texts, self._most)
        self.say(*self._said)


def _height(text: str, width: int) -> int:
    return sum(len(wrap(paragraph, width)) for paragraph in sanitize(text, newlines=True).split("\n"))


def _shortened(text: str, width: int, lines: int) -> str:
    """Running text that can be read in full elsewhere."""
    found = wrap(sanitize(text), width)
    if len(found) <= lines:
        return text
    return "\n".join([*found[: lines - 1], f"{found[lines - 1][: width - 1].rstrip()}{ELLIPSIS}"])
