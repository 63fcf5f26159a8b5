"""`faq-tui run`: the stages of a run, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("run")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--only", metavar="STAGE", help="Run this stage alone.")
@click.option("--until", metavar="STAGE", help="Run the stages up to this one.")
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON lines.")
@click.option("--yes", "confirmed", is_flag=True, help="Spend what regenerating is estimated to cost.")
def command(run_folder: Path, only: str | None, until: str | None, as_json: bool, confirmed: bool) -> None:
    """Do what is missing in RUN, stage by stage.

    The stages: seeds, regenerate, judge, assemble, activations, quantize, evaluate, report. What is up to date is
    skipped; after a stop or a crash the same command goes on where it was.
    """
    from faq_tui.cli.foreground import run_in_foreground

    if only and until:
        raise click.UsageError("--only and --until exclude each other")
    run_in_foreground(run_folder, only, until, as_json, confirmed)
