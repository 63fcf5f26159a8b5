"""`faq-tui serve [RUN]`: show the app in a web browser."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve")
@click.argument("run_folder", metavar="[RUN]", type=click.Path(path_type=Path), required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8642, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option("--low-bandwidth", is_flag=True, help="Draw at most twice per second, without animations.")
def command(run_folder: Path | None, host: str, port: int, low_bandwidth: bool) -> None:
    """Show the app in a web browser, for a machine without tmux or for people who prefer a browser.

    The command prints a link with a random token. Only people who have the link can use the app. Only this machine
    can open the link, unless --host names another address. Ctrl+C stops the server; jobs continue.
    """
    from faq_tui.cli.screen import show_in_browser

    show_in_browser(run_folder, host, port, low_bandwidth)
