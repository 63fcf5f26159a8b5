"""Describe the machine of a measurement, and format tables."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def about(*packages: str) -> str:
    """One line with date, machine and versions."""
    found = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{time.strftime('%Y-%m-%d %H:%M')} · {machine()} · Python {platform.python_version()}, {found}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are also aligned in plain text."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, *rows)
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by the nearest-rank method. The result is always one of the values."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def spread(values: Sequence[float], unit: str = "", places: int = 2) -> str:
    middle, low, high = (f"{value:.{places}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle}{unit} ({low}–{high})"


def publish(title: str, where: str, body: str, out: Path | None) -> None:
    text = f"# {title}\n\n{where}\n\n{body}\n"
    print(text)
    if out is not None:
        out.write_text(text, encoding="utf-8")
