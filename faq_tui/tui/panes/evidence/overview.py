"""The first view of the pane: one picture of all comparisons, and the number of draws for a narrower interval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len, set_cell_size

from faq_tui.core.base.text import counted, sanitize
from faq_tui.core.evaluation.metrics import KL
from faq_tui.core.evidence import LEANS_BETTER, LEANS_WORSE
from faq_tui.core.report import formatting
from faq_tui.core.report.categories import SHOWN, shown_categories
from faq_tui.core.report.forest import forest_lines
from faq_tui.core.report.repeats import draw_sentences
from faq_tui.core.report.unequal_sets import not_compared
from faq_tui.tui.panes.evidence.words import STYLES, Part
from faq_tui.tui.widgets.flow import BAR, FlowView

LEAST = 60  # minimum width of the picture in cells; in a narrower view, its right edge is cut off
MOST_ABOVE = 3  # for at most this many recipes, the closest models stand above the picture
NO_PICTURE = "There is no difference to draw: press v for the table of models."
HOW_TO_READ = (
    "Each line is a 95% interval; ● is the difference itself. If a line crosses zero (│), chance can explain the "
    "difference."
)


def overview_parts(body: dict[str, Any], width: int) -> list[Part]:
    """The view as parts of text, in lines of `width` cells. `body` is the report as data. The view is empty if there
    is no report."""
    if not body:
        return []
    lines = []
    for line in forest_lines(body, max(LEAST, width)):
        style = STYLES.get(line.verdict, "") if line.plot and line.verdict else ""
        if not line.verdict and line.label and not line.label.startswith(" "):
            style = "dim" if line.label.endswith(":") else "bold"
        lines.append((str(line)[: max(1, width)] or " ", style))
    picture = _on_own_lines(lines)
    picture += [None, (HOW_TO_READ, "dim")] if picture else [(NO_PICTURE, "")]
    if sentences := not_compared(body):
        picture += [None, (sanitize("\n".join(sentences), newlines=True), "bold")]
    closest = _closest(body)
    # With many recipes, the picture must not be far below.
    parts = [*closest, *picture] if len(closest) <= MOST_ABOVE * 3 else [*picture, None, *closest]
    if sentences := draw_sentences(body):
        parts += [
            None,
            ("What a narrower interval needs, in % of the baseline's value (draws: evaluate.repeats)", "bold"),
        ]
        parts += [("\n".join(sentences), "")]
    return [*parts, *_categories(body)]


def _categories(body: dict[str, Any]) -> list[Part]:
    """The difference of the KL on each category of held-out seeds.

    A line is green or red if its interval excludes zero. These intervals are not adjusted for the number of lines.
    """
    outcomes = shown_categories(body)[:SHOWN]
    width = max((cell_len(sanitize(one["category"])) for one in outcomes), default=0)
    lines: list[tuple[str, str]] = []
    block = None
    for one in outcomes:
        if block != (one["recipe"], one["sets"], one["text"]):
            block = one["recipe"], one["sets"], one["text"]
            lines.append((sanitize(f"{one['recipe']}, {one['sets']}, on {one['text']}:"), "dim"))
        estimate = one["difference"]
        change = f"{formatting.change(KL.name, estimate['value'])} {formatting.interval(KL.name, estimate)}"
        name = set_cell_size(sanitize(one["category"]), width)
        low, high = estimate["low"] or 0.0, estimate["high"] or 0.0
        style = STYLES[LEANS_BETTER] if high < 0 else STYLES[LEANS_WORSE] if low > 0 else ""
        lines.append((f"  {name}  {change}  {counted(one['items'], 'answer')}", style))
    if not lines:
        return []
    title = "By category of the held-out seeds: difference of the KL, 95% interval"
    return [None, *_on_own_lines([(title, "bold"), *lines])]


def _on_own_lines(lines: Iterable[tuple[str, str]]) -> list[Part]:
    """Parts of text, each on its own line. A part continues the line before it if both have the same style."""
    parts: list[Part] = []
    before: str | None = None
    for text, style in lines:
        parts.append((f"\n{text}" if style == before else text, style))
        before = style
    return parts


def _closest(body: dict[str, Any]) -> list[Part]:
    """The model of each recipe that is closest to the unquantized model, and the command that serves it."""
    parts: list[Part] = []
    for one in body.get("closest", ()):
        serve = f"\nServe it: {one['serve']}" if one["serve"] else ""
        about = f"KL {one['kl']:.4f} on {one['text']}, the lowest of {one['models']} models of {one['recipe']}"
        parts += [(sanitize(f"Closest to the unquantized model: {one['model']}"), "bold")]
        parts += [(sanitize(f"({about}){serve}", newlines=True), ""), None]
    return parts


class EvidenceOverview(FlowView):
    """Shows `overview_parts`, drawn for the width of the widget."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._body: dict[str, Any] = {}
        self._drawn: object = None  # the report and the width of the present picture

    def fill(self, body: dict[str, Any]) -> None:
        self._body = body
        self._picture()

    def on_resize(self) -> None:
        self._picture()

    def _picture(self) -> None:
        width = self.size.width - BAR
        if width > 0 and self._drawn != (id(self._body), width):
            self._drawn = id(self._body), width
            self.show(overview_parts(self._body, width))
