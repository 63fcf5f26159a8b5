"""The texts of the comparison: the answers of both runs, the settings that differ, and the forest plot."""

from __future__ import annotations

from rich.cells import cell_len

from faq_tui.core.base.text import sanitize
from faq_tui.core.run_comparison import RunComparison, SettingDifference
from faq_tui.tui.panes.evidence.words import STYLES
from faq_tui.tui.widgets.flow import Part
from faq_tui.tui.widgets.short import middle, padded

MOST_KEY, MOST_VALUE = 48, 60  # maximum widths of the table's columns in cells
GAP = 2
HOW_TO_READ = (
    "A and B are the runs. Each line is a 95% interval, and ● is the difference from the baseline of this run. If a "
    "line crosses zero (│), chance can explain the difference."
)
NO_PICTURE = "There is no evidence to draw. The stage evaluate measures it."


Line = tuple[str, str]  # text, style


def overview_parts(comparison: RunComparison, width: int) -> list[Part | None]:
    """The overview in lines of `width` cells."""
    sides = (("A", comparison.one), ("B", comparison.other))
    blocks: list[list[Line]] = [[(sentence, "bold red")] for sentence in comparison.not_comparable]
    for letter, side in sides:
        notes = [(sentence, "") for sentence in side.not_compared]
        blocks.append([(f"{letter}  {side.folder}", "bold"), (f"{side.answer}.", ""), *notes])
    blocks.append(_settings(comparison.settings, width))
    picture = [(line[:width], _style(line, verdict)) for line, verdict in comparison.forest(width)]
    blocks += [picture, [(HOW_TO_READ, "dim")]] if picture else [[(NO_PICTURE, "dim")]]
    parts: list[Part | None] = []
    for block in blocks:
        parts += [None, *_stacked(block)] if parts else _stacked(block)
    return parts


def _style(line: str, verdict: str) -> str:
    if verdict:
        return STYLES.get(verdict, "")
    return "" if not line or line.startswith(" ") else "dim" if line.endswith(":") else "bold"


def _stacked(lines: list[Line]) -> list[Part | None]:
    """Convert each line to a part.

    `FlowView` joins neighbouring parts of the same style, so the second one begins with a line break.
    """
    parts: list[Part | None] = []
    before = None
    for text, style in lines:
        parts.append((f"{chr(10) if style == before else ''}{sanitize(text) or ' '}", style))
        before = style
    return parts


def _settings(differences: tuple[SettingDifference, ...], width: int) -> list[Line]:
    """A table with one line for each key."""
    if not differences:
        return [("All settings are the same.", "bold")]
    head = f"{len(differences)} {'setting differs' if len(differences) == 1 else 'settings differ'}"
    rows = [(sanitize(d.key), *(sanitize(value) for value in d.words)) for d in differences]
    longest = max(cell_len(key) for key, _, _ in rows)
    key_width = max(min(longest, MOST_KEY, width * 2 // 5), min(len(head), width * 2 // 5))
    value_width = max(4, min(MOST_VALUE, (width - key_width - 2 * GAP) // 2))
    widest = max(1, *(cell_len(one) for _, one, _ in rows))
    first, gap = min(value_width, widest), " " * GAP
    lines = [(f"{padded(head, key_width)}{gap}{padded('A', first)}{gap}B", "bold")]
    for key, one, other in rows:
        rest = width - key_width - first - 2 * GAP
        lines.append((f"{padded(key, key_width)}{gap}{padded(one, first)}{gap}{middle(other, rest)}", ""))
    return lines
