"""`faq-tui status`: show which stages are done, running, stale or failed."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("status")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the status as one JSON object.")
def command(run_folder: Path, as_json: bool) -> None:
    """Show the progress of RUN, and which stages are stale."""
    from faq_tui.core.run.run import open_to_look
    from faq_tui.core.status import status_of

    with open_to_look(run_folder) as run:
        status = status_of(run)
    if as_json:
        click.echo(json.dumps(status, indent=2, ensure_ascii=False))
        return
    from faq_tui.cli.status_tables import print_status

    print_status(status)
