"""`faq-tui [RUN]`: open the app."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("faq-tui")
@click.argument("run_folder", metavar="[RUN]", type=click.Path(path_type=Path), required=False)
@click.option("--low-bandwidth", is_flag=True, help="Draw at most twice per second, without animations.")
def command(run_folder: Path | None, low_bandwidth: bool) -> None:
    """Open RUN in the app. Without RUN, open the run in the current folder.

    The app also shows a job that is already running. In the app, `?` shows all keys.
    """
    from faq_tui.cli.screen import show_run
    from faq_tui.core.run.run import nearest_run

    show_run(run_folder or nearest_run(Path.cwd()), low_bandwidth)
