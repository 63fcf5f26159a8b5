"""Draw a scatter plot of the loss of every model on general and on specialised text, as in the paper's figure 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, PROSE, WORDS
from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.report.html.figures import Scale, element, line, scale, svg, text
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.settings.sets import plain_name

WIDTH, LEAST_HEIGHT = 952, 460
LEFT, RIGHT, TOP, BOTTOM = 76, 330, 24, 58
GAP = 18  # smallest distance between two labels, in pixels

# The kinds of text that an axis can show. If several of these kinds were measured, the axis shows only the first one,
# by its main metric.
GENERAL = (PROSE, WORDS)
SPECIAL = (ANSWERS, CHOICES)
COLOURS = 6


@dataclass(frozen=True)
class SvgPoint:
    name: str
    x: dict[str, Any]  # estimate for the horizontal axis, with its interval
    y: dict[str, Any]
    class_: str
    square: bool  # True if the model's set belongs to a comparison at equal tokens


def scatter(body: dict[str, Any]) -> str:
    """The scatter plot. The result is empty if fewer than two models are measured on both kinds of text."""
    across, up = _axis_text(body, GENERAL), _axis_text(body, SPECIAL)
    if across is None or up is None:
        return ""
    points = _points(body, across, up)
    if len(points) < 2:
        return ""
    return f"<figure>{_drawn(points, across, up)}</figure>"


def _axis_text(body: dict[str, Any], kinds: tuple[str, ...]) -> tuple[dict[str, Any], str] | None:
    """The text that an axis shows, and this text's main metric. Returns None if no such text was measured."""
    texts = (text for kind in kinds for text in body["texts"] if text["kind"] == kind)
    return next(((text, text["metrics"][0]) for text in texts), None)


def _points(
    body: dict[str, Any], across: tuple[dict[str, Any], str], up: tuple[dict[str, Any], str]
) -> list[SvgPoint]:
    sets = [row["set_name"] for row in body["models"] if row["set_name"]]
    families = list(dict.fromkeys(_family(name) for name in sets))
    points = []
    for row in body["models"]:
        x, y = (row["texts"].get(text["name"], {}).get(metric) for text, metric in (across, up))
        if not x or not y or x["value"] is None or y["value"] is None or row["same_as"]:
            continue
        family = _family(row["set_name"]) if row["set_name"] else None
        class_ = "unquantized" if family is None else f"set{families.index(family) % COLOURS}"
        square = bool(row["set_name"]) and plain_name(row["set_name"]).endswith(TOKENS_SUFFIX)
        points.append(SvgPoint(row["name"], x, y, class_, square))
    return points


def _family(set_name: str) -> str:
    """The set's name without the suffixes for equal tokens and for draws; "" for a baseline."""
    name = plain_name(set_name).removesuffix(TOKENS_SUFFIX)
    return "" if name == BASELINE else name


def _drawn(points: list[SvgPoint], across: tuple[dict[str, Any], str], up: tuple[dict[str, Any], str]) -> str:
    height = max(LEAST_HEIGHT, TOP + GAP * len(points) + BOTTOM)
    bottom = height - BOTTOM
    x = scale(_ends(p.x for p in points), LEFT, WIDTH - RIGHT)
    y = scale(_ends(p.y for p in points), bottom, TOP)
    parts = [*_grid(x, y, across[1], up[1])]
    for axis, (held, metric) in (("x", across), ("y", up)):
        label = f"{METRICS.get(metric).title} on {held['title']}" + (
            " (general)" if axis == "x" else " (specialised)"
        )
        if axis == "x":
            parts.append(text((LEFT + WIDTH - RIGHT) / 2, height - 10, label, "axis", "middle"))
        else:
            parts.append(
                element(
                    "g",
                    text(0, 0, label, "axis", "middle"),
                    transform=f"translate(16 {(TOP + bottom) / 2}) rotate(-90)",
                )
            )
    for point in points:
        parts += _point(point, x, y)
    parts += _labels(points, x, y)
    return svg(WIDTH, height, parts, "The loss of every model on general and on specialised text")


def _ends(estimates: Any) -> list[float]:
    return [e[key] for e in estimates for key in ("value", "low", "high") if e[key] is not None]


def _grid(x: Scale, y: Scale, across: str, up: str) -> list[str]:
    parts = []
    for tick in x.ticks():
        parts.append(line(x(tick), TOP, x(tick), y.start, "grid"))
        parts.append(text(x(tick), y.start + 18, formatting.tick(across, tick), "tick", "middle"))
    for tick in y.ticks():
        parts.append(line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(text(LEFT - 8, y(tick) + 4, formatting.tick(up, tick), "tick", "end"))
    return parts


def _point(point: SvgPoint, x: Scale, y: Scale) -> list[str]:
    px, py = x(point.x["value"]), y(point.y["value"])
    parts = []
    if point.x["low"] is not None:
        parts.append(line(x(point.x["low"]), py, x(point.x["high"]), py, f"error {point.class_}"))
    if point.y["low"] is not None:
        parts.append(line(px, y(point.y["low"]), px, y(point.y["high"]), f"error {point.class_}"))
    if point.square:
        parts.append(element("rect", x=px - 6, y=py - 6, width=12, height=12, class_=f"dot {point.class_}"))
    else:
        parts.append(element("circle", cx=px, cy=py, r=6.5, class_=f"dot {point.class_}"))
    return parts


def _labels(points: list[SvgPoint], x: Scale, y: Scale) -> list[str]:
    """The labels in a column on the right, because the points of similar models overlap.

    A line connects each label to its point.
    """
    ranked = sorted(points, key=lambda point: y(point.y["value"]))
    heights: list[float] = []
    for point in ranked:
        ideal = y(point.y["value"])
        heights.append(max(ideal, heights[-1] + GAP) if heights else max(ideal, TOP + 8))
    lowest = y.start
    for number in reversed(range(len(heights))):
        heights[number] = min(heights[number], lowest)
        lowest = heights[number] - GAP
    at = WIDTH - RIGHT + 22
    parts = []
    for point, height in zip(ranked, heights, strict=True):
        parts.append(line(x(point.x["value"]), y(point.y["value"]), at - 4, height, "leader"))
        parts.append(text(at, height + 4, point.name, f"label {point.class_}", longest=44))
    return parts
