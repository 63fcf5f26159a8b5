"""`faq-tui replay`: play a recorded job in the app."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("replay")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--job", metavar="ID", help="Name of the job in RUN/jobs. The default is the newest job.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Playing speed: 2 is twice the recorded speed, and 0 is as fast as possible.",
)
@click.option("--low-bandwidth", is_flag=True, help="Draw at most twice per second, without animations.")
def command(run_folder: Path, job: str | None, speed: float, low_bandwidth: bool) -> None:
    """Play a recorded job of RUN at its original speed. The replay changes nothing in RUN."""
    from faq_tui.cli.screen import show_replay

    show_replay(run_folder, job, speed, low_bandwidth)
