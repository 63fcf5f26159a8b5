"""Format numbers for people, and remove markup and control characters from text that comes from outside."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

from faq_tui.core.extensions import METRICS

LONGEST = 200  # longer texts are cut to this many characters

# Unicode categories: control, format (such as the characters that reverse the direction of a line), surrogate,
# private use, line separator and paragraph separator.
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
MARKUP = re.compile(r"[\\`*\[\]<>|#~&!@$]|(?<![^\W_])_|_(?![^\W_])")
LINK = re.compile(r"(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)  # characters that make GitHub turn text into a link


def one_line(text: object, longest: int = LONGEST) -> str:
    """The text in one line of at most `longest` characters.

    Invisible characters are replaced, but markup is not escaped.
    """
    line = " ".join(str(text).split())
    line = "".join("\ufffd" if unicodedata.category(c) in INVISIBLE else c for c in line)
    return line[: longest - 1] + "…" if len(line) > longest else line


def escape(text: object, longest: int = LONGEST) -> str:
    """Escape text for Markdown sentences, lists and table cells."""
    line = one_line(text, longest)
    line = MARKUP.sub(lambda match: f"\\{match.group()}", line)
    return LINK.sub(lambda match: f"\\{match.group()}", line)


def plain(line: str) -> str:
    """A line of the report without its Markdown."""
    return re.sub(r"\\(.)", r"\1", line.replace("**", ""))


MISSING = "–"
HUGE = 1e6
NO_SHARE = 100  # shares of 100 or more, that is, 10000% or more, are shown as ">10000" (see `percent`)


def metric_title(metric: str) -> str:
    """A metric's name for text and table cells."""
    return escape(METRICS.get(metric).title)


def value(metric: str, number: float | None) -> str:
    """A metric's value as text. None means that the value is not finite."""
    if number is None:
        return "not finite"
    if METRICS.get(metric).percent:
        return f"{100 * number:.1f}%"
    return _plain(number, metric)


def tick(metric: str, number: float) -> str:
    """A tick label for the axis of a figure."""
    return f"{100 * number:.4g}%" if METRICS.get(metric).percent else f"{number:.4g}"


def change(metric: str, number: float | None) -> str:
    """A signed difference of two values."""
    if number is None:
        return "not finite"
    if METRICS.get(metric).percent:
        return f"{100 * number:+.1f} points"
    return _plain(number, metric, "+")


def _plain(number: float, metric: str, sign: str = "") -> str:
    """The number with the metric's number of decimals.

    A huge number is written with a power of ten and few digits.
    """
    if abs(number) >= HUGE:
        return f"{number:{sign}.2e}"
    return f"{number:{sign}.{METRICS.get(metric).decimals}f}"


def interval(metric: str, estimate: dict[str, Any]) -> str:
    """The interval of a difference as `[low, high]`."""
    if estimate["low"] is None or estimate["high"] is None:
        return "no interval"
    low, high = (change(metric, estimate[end]).removesuffix(" points") for end in ("low", "high"))
    return f"[{low}, {high}]"


def interval_in_words(metric: str, estimate: dict[str, Any]) -> str:
    """The interval as `interval` writes it, with the words "95% interval" before it if there is one."""
    text = interval(metric, estimate)
    return text if estimate["low"] is None or estimate["high"] is None else f"95% interval {text}"


def share(estimate: dict[str, Any] | None) -> str:
    """The recovered share of the loss with its interval, in percent."""
    if estimate is None or estimate["value"] is None:
        return MISSING
    text = f"{percent(estimate['value'])}%"
    if estimate["low"] is None or estimate["high"] is None:
        return text
    return f"{text} [{percent(estimate['low'])}, {percent(estimate['high'])}]"


def percent(share: float) -> str:
    """A share in percent.

    If the denominator of a share is close to zero, the share is huge and has no meaning. A share of NO_SHARE or more
    is shown as ">10000", and a share of -NO_SHARE or less as "<-10000".
    """
    if not math.isfinite(share) or abs(share) >= NO_SHARE:
        return f"{'<-' if share < 0 else '>'}{100 * NO_SHARE}"
    return f"{round(100 * share):d}"  # round() avoids -0


def count(number: int | None) -> str:
    return MISSING if number is None else f"{number:,}"


def megabytes(number: int | None) -> str:
    return MISSING if number is None else f"{number / 1e6:,.1f}"


def probability(p: float | None) -> str:
    """A p-value as text, with only the meaningful digits."""
    if p is None:
        return MISSING
    return "≤ 0.001" if p < 0.001 else f"{p:.3f}"
