"""The table and the figure of selection.py, from its results. Part of selection.py."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import table

from faq_tui.core.stats.t_distribution import quantile

TEXTS = ("chat", "ref", "prose")
Group = tuple[str, int, int, int]  # method, bits, group size, tokens


@dataclass(frozen=True, order=True)
class Cell:
    method: str
    bits: int
    group_size: int
    budget: int
    set: str
    weights: str
    draw: int

    @property
    def group(self) -> Group:
        return self.method, self.bits, self.group_size, self.budget

    @property
    def name(self) -> str:
        return f"{self.set}@{self.weights}"


def read_results(path: Path) -> dict[Cell, dict[str, Any]]:
    """The results so far. A last line that was cut by a kill is ignored."""
    found: dict[Cell, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            body = json.loads(line)
            found[Cell(**{name: body[name] for name in Cell.__dataclass_fields__})] = body
        except (ValueError, KeyError, TypeError):
            continue
    return found


@dataclass(frozen=True)
class Change:
    """The mean of the paired relative changes of the KL, in percent, with a 95% interval over the draws."""

    mean: float
    half: float  # half the width of the interval; NaN with fewer than two draws
    draws: int

    @classmethod
    def of(cls, ours: Mapping[int, float], theirs: Mapping[int, float]) -> Change | None:
        """Maps of draws to KLs. Returns None if the two maps have no draw in common."""
        each = [100 * (ours[draw] / theirs[draw] - 1) for draw in sorted(ours.keys() & theirs.keys())]
        if not each:
            return None
        half = float("nan")
        if len(each) > 1:
            half = quantile(0.025, len(each) - 1) * statistics.stdev(each) / len(each) ** 0.5
        return cls(statistics.fmean(each), half, len(each))

    def __str__(self) -> str:
        if self.half != self.half:
            return f"{self.mean:+.1f}%"
        return f"{self.mean:+.1f}% [{self.mean - self.half:+.1f}, {self.mean + self.half:+.1f}]"


def changes(results: Mapping[Cell, Mapping[str, Any]], against: str) -> dict[Group, dict[str, dict[str, Any]]]:
    """For each group and each set with its weights: rows, tokens, draws, and for each text the KL and its change.

    The groups are sorted by their names, and the sets of a group by their change on the first text.
    """
    found: dict[Group, dict[str, dict[str, Any]]] = {}
    names: dict[Group, list[str]] = {}
    for cell in results:
        names.setdefault(cell.group, [])
        if cell.name not in names[cell.group]:
            names[cell.group].append(cell.name)
    for group, of_group in sorted(names.items()):
        base = against if against in of_group else of_group[0]
        for name in of_group:
            own = {cell.draw: body for cell, body in results.items() if (cell.group, cell.name) == (group, name)}
            other = {cell.draw: body for cell, body in results.items() if (cell.group, cell.name) == (group, base)}
            line: dict[str, Any] = {"draws": len(own), "base": name == base}
            for key in ("rows", "tokens"):
                line[key] = statistics.fmean(body[key] for body in own.values())
            for text in TEXTS:
                kl = {draw: body[text] for draw, body in own.items() if text in body}
                if kl:
                    line[text] = statistics.fmean(kl.values())
                    line[f"{text} change"] = Change.of(kl, {draw: body[text] for draw, body in other.items()})
            found.setdefault(group, {})[name] = line
        found[group] = dict(sorted(found[group].items(), key=lambda item: _mean_change(item[1])))
    return found


def _mean_change(line: Mapping[str, Any]) -> float:
    change = line.get(f"{TEXTS[0]} change")
    return change.mean if isinstance(change, Change) else 0.0


def written(compared: Mapping[Group, Mapping[str, Mapping[str, Any]]]) -> str:
    """The tables as Markdown."""
    parts = []
    for (method, bits, group_size, budget), lines in compared.items():
        texts = [text for text in TEXTS if any(text in line for line in lines.values())]
        head = ["set@weights", "rows", "tokens", "draws", *(f"KL {text}" for text in texts), *texts]
        body = [
            [
                name,
                *(f"{line['rows']:.0f}", f"{line['tokens']:.0f}", str(line["draws"])),
                *(f"{line[text]:.4f}" if text in line else "–" for text in texts),
                *("0" if line["base"] else str(line.get(f"{text} change") or "–") for text in texts),
            ]
            for name, line in lines.items()
        ]
        parts.append(f"## {method}, {bits} bits, groups of {group_size}, {budget:,} tokens\n\n{table(head, body)}\n")
    return "\n".join(parts)


def figure(compared: Mapping[Group, Mapping[str, Mapping[str, Any]]]) -> str:
    """A forest plot of the changes of the KL on chat, as SVG."""
    lines = [
        (f"{method}-{bits}, {budget:,}: {name}", line["chat change"])
        for (method, bits, group_size, budget), of_group in compared.items()
        for name, line in of_group.items()
        if not line["base"] and line.get("chat change") is not None
    ]
    ends = [abs(one.mean) + (one.half if one.half == one.half else 0.0) for _, one in lines]
    most, left, width, step = max([5.0, *ends]), 330, 420, 18
    middle, scale, height = left + width / 2, width / 2 / most, step * len(lines) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 150}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<line x1="{middle}" x2="{middle}" y1="20" y2="{height - 30}" stroke="#888"/>',
        f'<text x="{middle}" y="{height - 12}" text-anchor="middle">change of the KL on chat, 95% interval</text>',
    ]
    for index, (name, one) in enumerate(lines):
        y, x = 28 + step * index, middle + scale * one.mean
        half = scale * one.half if one.half == one.half else 0.0
        colour = "#b00" if one.mean - one.half > 0 else "#070" if one.mean + one.half < 0 else "#555"
        parts += [
            f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{name}</text>',
            f'<line x1="{x - half:.1f}" x2="{x + half:.1f}" y1="{y}" y2="{y}" stroke="{colour}"/>',
            f'<circle cx="{x:.1f}" cy="{y}" r="3" fill="{colour}"/>',
            f'<text x="{left + width + 8}" y="{y + 4}">{one}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])
