"""A forest plot of all comparisons: the difference in each main metric, with its 95% interval.

Comparisons at equal tokens come first. A point further to the right is a better result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.report.answer import compared_sets
from faq_tui.core.report.formatting import one_line

EQUALS = ("tokens", "samples")
GROUPS = {
    "tokens": "Equal tokens (the fair comparison)",
    "samples": "Equal samples (one set may have more text than the other)",
}
POINT, SIDE, LEFT_END, RIGHT_END, ZERO, CROSSING = "●", "─", "├", "┤", "│", "┼"
MIN_BAR = 16  # smallest width of the plot, in characters
LONGEST_LABEL = 44


@dataclass(frozen=True)
class ForestRow:
    """One comparison on one text, by the text's main metric."""

    equal: str
    what: str
    outcome: dict[str, Any]

    @property
    def verdict(self) -> str:
        return str(self.outcome["verdict"])


@dataclass(frozen=True)
class ForestPanel:
    """All rows with the same metric."""

    metric: str
    rows: tuple[ForestRow, ...]

    @property
    def sign(self) -> float:
        """1.0 if a higher value of the metric is better, otherwise -1.0."""
        return 1.0 if METRICS.get(self.metric).higher_is_better else -1.0

    def ends(self) -> list[float]:
        """All values that the plot must contain, including zero. Signs are set so that larger values are better."""
        differences = [row.outcome["difference"] for row in self.rows]
        found = [d[key] for d in differences for key in ("value", "low", "high") if d[key] is not None]
        return [0.0, *(self.sign * value for value in found)]


@dataclass(frozen=True)
class ForestLine:
    """One line of the picture as text. If the line shows a comparison, `verdict` gives the bar's colour."""

    label: str
    plot: str = ""
    numbers: str = ""
    verdict: str = ""

    def __str__(self) -> str:
        return f"{self.label}{self.plot}{self.numbers}".rstrip()


def panels(body: dict[str, Any]) -> list[ForestPanel]:
    """One panel for each main metric. `body` is what `document` returns."""
    texts = {text["name"]: text for text in body["texts"]}
    several = len({c["recipe"] for c in body["comparisons"]}) > 1
    found: dict[str, list[ForestRow]] = {}
    for c in sorted(body["comparisons"], key=lambda c: EQUALS.index(c["equal"])):
        for name, outcomes in c["texts"].items():
            metric = texts[name]["metrics"][0]
            if outcomes[metric]["difference"]["value"] is not None and not c["same"]:
                parts = [c["recipe"]] * several + [compared_sets(c), texts[name]["title"]]
                row = ForestRow(c["equal"], one_line(" · ".join(parts)), outcomes[metric])
                found.setdefault(metric, []).append(row)
    return [ForestPanel(metric, tuple(rows)) for metric, rows in found.items()]


def forest_lines(body: dict[str, Any], width: int) -> list[ForestLine]:
    """The picture in lines of at most `width` characters, if `width` is at least 60.

    The result is empty if nothing was compared.
    """
    return lines_of(panels(body), width)


def lines_of(drawn: Iterable[ForestPanel], width: int) -> list[ForestLine]:
    """The picture of these panels, in lines of at most `width` characters, if `width` is at least 60."""
    lines: list[ForestLine] = []
    for panel in drawn:
        lines += [ForestLine("")] if lines else []
        lines += _panel(panel, width)
    return lines


def _panel(panel: ForestPanel, width: int) -> Iterator[ForestLine]:
    numbers = [_numbers(panel.metric, row) for row in panel.rows]
    right = max(map(len, numbers)) + 2
    label = min(LONGEST_LABEL, max(len(row.what) for row in panel.rows) + 2, max(12, width - right - MIN_BAR - 2)) + 2
    bar = max(MIN_BAR, width - label - right)
    low, high = min(panel.ends()), max(panel.ends())
    scale = (low, (high - low) or 1.0, bar)
    heading = f"{METRICS.get(panel.metric).title}, difference from the baseline"
    yield ForestLine(one_line(heading, width))
    yield ForestLine(" " * label, f"{'← worse':<{bar - 8}}better →"[:bar] if bar > MIN_BAR else "")
    for equal in EQUALS:
        of_group = [(row, text) for row, text in zip(panel.rows, numbers, strict=True) if row.equal == equal]
        if of_group:
            yield ForestLine(one_line(f"{GROUPS[equal]}:", width))
        for row, text in of_group:
            plot = _plot(row.outcome["difference"], panel.sign, scale)
            yield ForestLine(f"  {one_line(row.what, label - 4):<{label - 2}}", plot, f"  {text}", row.verdict)


def _numbers(metric: str, row: ForestRow) -> str:
    return f"{formatting.change(metric, row.outcome['difference']['value'])} {row.verdict}"


def _plot(difference: dict[str, Any], sign: float, scale: tuple[float, float, int]) -> str:
    low, span, bar = scale

    def column(value: float) -> int:
        return min(bar - 1, max(0, round((value - low) / span * (bar - 1))))

    cells = [" "] * bar
    zero = column(0.0)
    cells[zero] = ZERO
    if difference["low"] is not None and difference["high"] is not None:
        start, end = sorted(column(sign * difference[key]) for key in ("low", "high"))
        for place in range(start, end + 1):
            cells[place] = CROSSING if place == zero else SIDE
        cells[start], cells[end] = LEFT_END, RIGHT_END
    cells[column(sign * difference["value"])] = POINT
    return "".join(cells)


# Characters with a meaning in Markdown, and the colon that starts a link.
MEANING = re.compile(r"[`<>$~\[\]]|:(?=//)")


def picture(body: dict[str, Any], width: int = 96) -> list[str]:
    """The picture as an indented code block of Markdown. The result is empty if nothing was compared."""
    lines = [MEANING.sub("·", str(line)) for line in forest_lines(body, width)]
    if not lines:
        return []
    note = (
        "Each line is a 95% interval, and ● is the difference itself. If a line crosses zero (│), chance can explain "
        "the difference."
    )
    return [*(f"    {line}".rstrip() for line in lines), "", note, ""]
