"""`faq-tui replay`: a recorded run in the app."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("replay")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--job", metavar="ID", help="Which job under RUN/jobs; by default the newest.")
@click.option("--speed", type=click.FloatRange(min=0), default=1.0, show_default=True, help="0: as fast as possible.")
@click.option("--low-bandwidth", is_flag=True, help="Draw twice a second and animate nothing.")
def command(run_folder: Path, job: str | None, speed: float, low_bandwidth: bool) -> None:
    """Play what a job of RUN did, at the pace it had. Nothing in RUN is changed."""
    from faq_tui.cli.screen import show_replay

    show_replay(run_folder, job, speed, low_bandwidth)
