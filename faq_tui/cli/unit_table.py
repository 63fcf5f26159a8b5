"""Print the units of a run as a table on stdout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from faq_tui.core.base.text import counted, duration, sanitize, size
from faq_tui.core.units import Needs, Unit

LONGEST = 60  # a longer message is cut to this number of characters
COLOURS = {"done": "green", "stale": "yellow", "failed": "red", "running": "cyan"}


def print_units(units: Sequence[Unit]) -> None:
    """One line for each unit: state, name, needs, and what it waits for or why it failed."""
    if not units:
        click.echo("The run has no units: its settings ask for no artefacts.")
        return
    wide = max(len(unit.name) for unit in units)
    for unit in units:
        state = click.style(f"{unit.state:<8}", fg=COLOURS.get(unit.state))
        line = f"{state} {sanitize(unit.name):<{wide}}  {needs_in_words(unit.needs):<34}  {_more(unit)}"
        click.echo(line.rstrip())
    counts = Counter(unit.state for unit in units)
    click.echo(
        f"{counted(len(units), 'unit')}: {', '.join(f'{count} {state}' for state, count in sorted(counts.items()))}"
    )


def needs_in_words(needs: Needs) -> str:
    """The estimates of one unit; "" if nothing is known."""
    several = needs.gpus > 1
    parts = [f"{needs.gpus} GPU{'s' if several else ''}"] if needs.gpus else []
    if needs.gpu_bytes:
        parts.append(f"{size(needs.gpu_bytes)} {'memory on each GPU' if several else 'GPU memory'}")
    if needs.host_bytes:
        parts.append(f"{size(needs.host_bytes)} memory")
    if needs.seconds is not None:
        parts.append(f"about {duration(max(1.0, needs.seconds))}")
    return ", ".join(parts)


def _more(unit: Unit) -> str:
    if unit.state == "waiting":
        return f"waits for {', '.join(unit.waits_for)}"
    return sanitize(unit.message)[:LONGEST]
