"""Differences from the baseline with their 95% intervals: one panel a metric, better to the right."""

from __future__ import annotations

from typing import Any

from faq_tui.core.extensions import METRICS
from faq_tui.core.report import formatting
from faq_tui.core.report.html.drawing import Scale, element, line, scale, svg, text
from faq_tui.core.report.html.from_markdown import VERDICTS

WIDTH, ROW, TOP, BOTTOM = 952, 26, 40, 34
LEFT, RIGHT = 440, 190  # room for what a row is, and for its numbers


def forests(body: dict[str, Any]) -> str:
    """A picture for each text's main metric."""
    texts = {found["name"]: found for found in body["texts"]}
    panels: dict[str, list[dict[str, Any]]] = {}
    for c in body["comparisons"]:
        for name, outcomes in c["texts"].items():
            metric = texts[name]["metrics"][0]
            found = outcomes[metric]
            if found["difference"]["value"] is not None and not c["same"]:
                what = f"{c['recipe']} · {c['source']} · equal {c['equal']} · {texts[name]['title']}"
                panels.setdefault(metric, []).append({"what": what, **found})
    return "\n".join(_panel(metric, rows) for metric, rows in panels.items())


def _panel(metric: str, rows: list[dict[str, Any]]) -> str:
    sign = 1.0 if METRICS.get(metric).higher_is_better else -1.0
    ends = [0.0]
    for row in rows:
        ends += [row["difference"][key] for key in ("value", "low", "high") if row["difference"][key] is not None]
    across = scale([sign * value for value in ends], LEFT, WIDTH - RIGHT)
    height = TOP + ROW * len(rows) + BOTTOM
    parts = [text(0, 16, f"{METRICS.get(metric).title}: set against baseline", "heading")]
    parts += [text(LEFT, 16, "← worse", "faint"), text(WIDTH - RIGHT, 16, "better →", "faint", "end")]
    parts += _axis(metric, across, sign, height)
    for number, row in enumerate(rows):
        parts += _row(metric, row, across, sign, TOP + ROW * (number + 0.5))
    return f"<figure>{svg(WIDTH, height, parts, f'{METRICS.get(metric).title}: differences with intervals')}</figure>"


def _axis(metric: str, across: Scale, sign: float, height: float) -> list[str]:
    bottom = height - BOTTOM
    parts = []
    for tick in across.ticks():
        x, value = across(tick), sign * tick
        parts.append(line(x, TOP - 8, x, bottom, "zero" if abs(tick) < 1e-12 else "grid"))
        label = "0" if abs(tick) < 1e-12 else formatting.change(metric, value)
        parts.append(text(x, bottom + 18, label, "tick", "middle"))
    return parts


def _row(metric: str, row: dict[str, Any], across: Scale, sign: float, y: float) -> list[str]:
    found, mark = row["difference"], VERDICTS[row["verdict"]]
    parts = [text(0, y + 4, row["what"], longest=66)]
    if found["low"] is not None:
        parts.append(line(across(sign * found["low"]), y, across(sign * found["high"]), y, f"interval {mark}"))
    parts.append(element("circle", cx=across(sign * found["value"]), cy=y, r=5, class_=f"point {mark}"))
    said = f"{formatting.change(metric, found['value'])}  {row['verdict']}"
    return [*parts, text(WIDTH - RIGHT + 12, y + 4, said, f"label {mark}")]
