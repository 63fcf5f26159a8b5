"""`faq-tui report`: print the evidence."""

from __future__ import annotations

from pathlib import Path

import click

from faq_tui.cli.format_help import FormatCommand
from faq_tui.core.extensions import REPORTS


@click.command("report", cls=FormatCommand, formats=REPORTS)
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(REPORTS.names()), default="md", show_default=True)
def command(run_folder: Path, kind: str) -> None:
    """Print the results measured in RUN so far, and the conclusions from them."""
    from faq_tui.core.report.formats import render
    from faq_tui.core.run.run import open_to_look
    from faq_tui.core.status import changed_stage

    with open_to_look(run_folder) as run:
        click.echo(render(run, kind, changed_stage(run)))
