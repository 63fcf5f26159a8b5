"""The scatter plot of each model's loss on prose and on the run's kind of questions (like the paper's figure 3)."""

from __future__ import annotations

import math
import string
import threading
from dataclasses import dataclass

from rich.text import Text
from textual.message import Message
from textual.reactive import reactive

from faq_tui.core.base.text import sanitize
from faq_tui.core.evidence import ModelRow
from faq_tui.core.plots.cells import line
from faq_tui.core.plots.overlay import COLOURS
from faq_tui.core.plots.scatter import Point, scatter
from faq_tui.core.report import formatting
from faq_tui.core.report.html.scatter import GENERAL, SPECIAL
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.settings.sets import plain_name
from faq_tui.core.stats.bootstrap import Estimate
from faq_tui.tui.panes.evidence import words
from faq_tui.tui.panes.evidence.data import LoadedEvidence
from faq_tui.tui.widgets.short import middle, padded
from faq_tui.tui.widgets.text import LiteralText

MARKS = string.ascii_uppercase.replace("U", "") + string.ascii_lowercase + string.digits
UNQUANTIZED_MARK = "U"
LEAST_PLOT = 8  # minimum height of the plot in lines
LEGEND_WIDTH = 46  # width of one entry of the legend in columns
RICH = {"cyan": "middle", "red": "peak", "green": "", "orange": "high", "magenta": "bold", "blue": "low", "": ""}

Axis = tuple[str, str]  # (text, metric)
Request = tuple[LoadedEvidence, int, int]  # the data to draw, and the width and height in cells


def drawing(loaded: LoadedEvidence, width: int, height: int) -> str:
    """The plot with its legend as ANSI text, or a sentence that says why there is no plot.

    The text has at most `height` lines of at most `width` cells.
    """
    across, up = _axis(loaded, GENERAL), _axis(loaded, SPECIAL)
    if across is None or up is None:
        return "No scatter plot: it needs a prose text (evaluate.perplexity) and answers or labelled items."
    placed = _placed(loaded, across, up)
    if len(placed) < 2:
        return "No scatter plot yet. First measure a quantized model on prose and on answers or labelled items."
    columns = max(1, width // LEGEND_WIDTH)
    legend = [_entry(mark, row, x, y, across, up, width // columns) for row, mark, _, x, y in placed]
    lines = [line(_styled(legend[n : n + columns], placed[n : n + columns])) for n in range(0, len(legend), columns)]
    room = height - 2 - min(len(lines), max(3, height - 2 - LEAST_PLOT))
    heads = [_title("across", loaded, across, width), _title("up", loaded, up, width)]
    plot = scatter(
        [Point(x.value, y.value, mark, colour or "default") for _, mark, colour, x, y in placed],
        width,
        room,
        lambda number: formatting.tick(across[1], number),
        lambda number: formatting.tick(up[1], number),
    )
    shown = [*heads, *(plot.split("\n") if plot else []), *lines]
    if len(shown) > height:
        hidden = (len(shown) - height + 1) * columns
        shown = [*shown[: height - 1], line((c, "dim") for c in f"… and {hidden} more: a larger window shows them")]
    return "\n".join(shown[:height])


def _axis(loaded: LoadedEvidence, kinds: tuple[str, ...]) -> Axis | None:
    """The held-out text that an axis shows, and the main metric of this text."""
    texts = loaded.evidence.texts if loaded.evidence else ()
    names = (text.name for kind in kinds for text in texts if text.kind == kind)
    return next(((name, loaded.evidence.metrics(name)[0]) for name in names if loaded.evidence), None)


def _placed(loaded: LoadedEvidence, across: Axis, up: Axis) -> list[tuple[ModelRow, str, str, Estimate, Estimate]]:
    """The points to draw, as (model, mark, colour, x, y). Each model that is measured on both texts gets a point.

    Models with the same weights share one point.
    """
    out = []
    marks = iter(MARKS * 9)
    families: dict[str, str] = {}
    for row in loaded.evidence.rows if loaded.evidence else ():
        x, y = (row.texts.get(text, {}).get(metric) for text, metric in (across, up))
        if x is None or y is None or row.same_as or not (math.isfinite(x.value) and math.isfinite(y.value)):
            continue
        if row.set_name is None:
            out.append((row, UNQUANTIZED_MARK, "", x, y))
            continue
        family = plain_name(row.set_name).removesuffix(TOKENS_SUFFIX)
        colour = families.setdefault(family, "orange" if family == BASELINE else _free_colour(families))
        out.append((row, next(marks), colour, x, y))
    return out


def _free_colour(taken: dict[str, str]) -> str:
    free = [colour for colour in COLOURS if colour != "orange"]
    return free[len(taken) % len(free)]


def _entry(mark: str, row: ModelRow, x: Estimate, y: Estimate, across: Axis, up: Axis, width: int) -> str:
    figures = f"{words.value(across[1], x.value)} · {words.value(up[1], y.value)}"
    return f"{mark}  {padded(sanitize(row.name), max(1, width - len(figures) - 6))} {figures}  "


def _styled(entries: list[str], placed: list[tuple[ModelRow, str, str, Estimate, Estimate]]) -> list[tuple[str, str]]:
    return [
        (c, RICH[colour] if index == 0 else "")
        for entry, (_, _, colour, _, _) in zip(entries, placed, strict=True)
        for index, c in enumerate(entry)
    ]


def _title(way: str, loaded: LoadedEvidence, axis: Axis, width: int) -> str:
    text, metric = axis
    sort = "general" if way == "across" else "specialised"
    heading = words.heading(metric, loaded.title(text), loaded.window(text))
    whole = sanitize(f"{'→' if way == 'across' else '↑'} {sort}: {heading}")
    return line((c, "bold") for c in middle(whole, width))


class ScatterBox(LiteralText):
    """Shows the scatter plot. A thread draws it."""

    @dataclass
    class Plotted(Message):
        of: Request
        text: str

    loaded: reactive[LoadedEvidence] = reactive(LoadedEvidence, repaint=False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._asked: Request | None = None
        self._drawn: Request | None = None
        self._lock = threading.Lock()
        self._working = False

    @property
    def busy(self) -> bool:
        return self._asked != self._drawn

    def watch_loaded(self) -> None:
        self.call_after_refresh(self._ask)

    def on_resize(self) -> None:
        self._ask()

    def _ask(self) -> None:
        request = (self.loaded, self.content_size.width, self.content_size.height)
        if self.loaded.evidence is None or not all(request[1:]) or request == self._asked:
            return
        with self._lock:
            self._asked = request
            if self._working:
                return
            self._working = True
        threading.Thread(target=self._work, name="scatter", daemon=True).start()

    def _work(self) -> None:
        done: Request | None = None
        while True:
            with self._lock:
                request = self._asked
                if request is None or request == done:
                    self._working = False
                    return
            text = drawing(*request)
            done = request
            self.post_message(self.Plotted(request, text))

    def on_scatter_box_plotted(self, event: Plotted) -> None:
        event.stop()
        self._drawn = event.of
        self.show(Text.from_ansi(event.text, no_wrap=True))
