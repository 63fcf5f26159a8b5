"""`faq-tui pick`: override the judge's pick."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("pick")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("seed_id")
@click.argument("candidate")
@click.option("--reason", default="", help="The reason; it is stored with the override.")
def command(run_folder: Path, seed_id: str, candidate: str, reason: str) -> None:
    """Choose CANDIDATE for SEED_ID instead of the judge's pick.

    CANDIDATE is the candidate's number: 1, 2, 3 … If the run has several sources, write SOURCE:NUMBER. With 0, the
    seed gets no pick. `judge` restores the judge's pick. Every override is stored as a new row.
    """
    from faq_tui.core.overrides import override
    from faq_tui.core.run.run import open_run

    with open_run(run_folder) as run:
        click.echo(override(run, seed_id, candidate, reason))
