"""Print the comparison of two runs as text."""

from __future__ import annotations

from collections.abc import Iterator

import click

from faq_tui.core.base.text import sanitize
from faq_tui.core.run_comparison import RunComparison
from faq_tui.core.run_comparison.comparison import pick_sentences

WIDTH = 96
MOST_PICKS = 20  # with --json, all of them are printed
LONGEST_VALUE, LONGEST_QUESTION = 30, 48


def print_comparison(comparison: RunComparison) -> None:
    for line in comparison_lines(comparison):
        click.echo(sanitize(line))


def comparison_lines(comparison: RunComparison) -> Iterator[str]:
    yield f"A  {comparison.one.folder}: {comparison.one.answer}."
    yield f"B  {comparison.other.folder}: {comparison.other.answer}."
    yield from (f"Warning: {sentence}" for sentence in comparison.not_comparable)
    for letter, side in (("A", comparison.one), ("B", comparison.other)):
        yield from (f"Note on {letter}: {sentence}" for sentence in side.not_compared)
    yield ""
    yield from _settings(comparison)
    yield ""
    forest = [line for line, _ in comparison.forest(WIDTH)]
    yield from forest or ["There is no evidence to draw."]
    yield ""
    yield from _picks(comparison)


def _settings(comparison: RunComparison) -> Iterator[str]:
    if not comparison.settings:
        yield "All settings are the same."
        return
    rows = [("Settings that differ", "A", "B"), *((d.key, *d.words) for d in comparison.settings)]
    cut = [(key, _short(one, LONGEST_VALUE), _short(other, LONGEST_VALUE)) for key, one, other in rows]
    widths = [max(len(row[column]) for row in cut) for column in range(2)]
    for key, one, other in cut:
        yield f"{key:<{widths[0]}}  {one:<{widths[1]}}  {other}".rstrip()


def _picks(comparison: RunComparison) -> Iterator[str]:
    yield from pick_sentences(comparison.picks)
    differing = comparison.picks.differing
    if not differing:
        return
    width = max(len(d.one.words) for d in differing[:MOST_PICKS])
    for d in differing[:MOST_PICKS]:
        question = _short(" ".join(d.question.split()), LONGEST_QUESTION)
        yield f"  {d.seed_id}  A {d.one.words:<{width}}  B {d.other.words:<{width}}  {question}"
    if len(differing) > MOST_PICKS:
        yield f"  and {len(differing) - MOST_PICKS:,} more; --json prints all of them"


def _short(text: str, width: int) -> str:
    text = sanitize(text)
    return text if len(text) <= width else f"{text[: width - 1]}…"
