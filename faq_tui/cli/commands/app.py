"""`faq-tui [RUN]`: open a run in the app, or show all runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("faq-tui")
@click.argument("run_folder", metavar="[RUN]", type=click.Path(path_type=Path), required=False)
@click.option("--low-bandwidth", is_flag=True, help="Draw at most twice per second, without animations.")
def command(run_folder: Path | None, low_bandwidth: bool) -> None:
    """Open RUN in the app. Without RUN, open the run in the current folder, or show all runs if there is none.

    The app also shows a job that is already running. In the app, `?` shows all keys.
    """
    from faq_tui.cli.screen import show_home, show_run
    from faq_tui.core.run.known_runs import is_run

    here = Path()
    if run_folder is not None:
        show_run(run_folder, low_bandwidth)
    elif is_run(here):
        show_run(here, low_bandwidth)
    else:
        show_home(low_bandwidth)
