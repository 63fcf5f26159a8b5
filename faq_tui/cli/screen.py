"""Open the app from a command. Only this module of the CLI imports the app, and only when it opens the app."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.text import sanitize

if TYPE_CHECKING:
    from faq_tui.tui.app import FaqApp
    from faq_tui.tui.config import Config
    from faq_tui.tui.home.app import Choice


def show_run(folder: Path, low_bandwidth: bool = False, start: bool = False) -> None:
    """Open a run in the app. `start` starts the pipeline. Raises FaqError."""
    from faq_tui.tui.app import FaqApp

    config = _config(low_bandwidth)
    _show(FaqApp(folder, config, start=start), config)


def show_home(low_bandwidth: bool = False) -> None:
    """Show all runs in the app, then the run that the user opens. Raises FaqError."""
    _from_home(_config(low_bandwidth))


def show_replay(folder: Path, job: str | None, speed: float, low_bandwidth: bool = False) -> None:
    """Open a replay in the app. Raises FaqError."""
    from faq_tui.core.run.run import run_folder
    from faq_tui.tui.app import FaqApp
    from faq_tui.tui.player import Player, recording

    config = _config(low_bandwidth)
    player = Player(recording(run_folder(folder), job), speed)
    _show(FaqApp(folder, config, player), config)


def show_in_browser(folder: Path | None, host: str, port: int, low_bandwidth: bool = False) -> None:
    """Serve the app as a web page until ctrl+c. `folder` is a run, or None for all runs. Raises FaqError."""
    from faq_tui.core.run.run import open_run

    try:
        from faq_tui.tui.browser import server as pages
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the app in a browser needs the package {(error.name or '').replace('_', '-')}: "
            "install it with `pip install 'faq-tui[browser]'`"
        ) from None
    _config(low_bandwidth)  # an error in config.toml is shown in the terminal, not in the page
    if folder is not None:
        with open_run(folder) as run:  # an error in the run is shown in the terminal, too
            folder = run.folder
    with pages.bound(host, port) as opened:
        if not pages.is_loopback(host):
            click.echo(
                f"faq-tui: warning: everyone who can reach {sanitize(host)} and has the link can use the app, start "
                "jobs and read the link's traffic, which is not encrypted; `ssh -L` is safer",
                err=True,
            )
        name = f"faq-tui {folder.name}" if folder is not None else "faq-tui"
        server = pages.PageServer(pages.app_command(folder, low_bandwidth), name)
        click.echo(
            "faq-tui: open this link in a browser; ctrl+c stops the server, and running jobs continue", err=True
        )
        pages.serve_pages(server, opened, click.echo)
    click.echo("faq-tui: the server has stopped", err=True)


def _show(app: FaqApp, config: Config) -> None:
    """Show a run, and then Home if the user goes there."""
    if _goes_home(app):
        _from_home(config, app.opened.folder)


def _goes_home(app: FaqApp) -> bool:
    """Show a run. Return True if the user leaves the run to see all runs.

    Otherwise print the farewell text of the run, and return False.
    """
    from faq_tui.core.run.known_runs import remember
    from faq_tui.tui.launch import open_app

    remember(app.opened.folder)
    farewell = open_app(app)
    if not app.goes_home and farewell:
        click.echo(f"faq-tui: {sanitize(farewell)}", err=True)
    return app.goes_home


def _from_home(config: Config, select: Path | None = None) -> None:
    """Show Home and the runs that the user opens there, until the user leaves the app."""
    from faq_tui.tui.app import FaqApp

    notice = ""
    while (choice := _choice(config, notice, select)) is not None:
        select, notice = choice.folder, ""
        try:
            if not _goes_home(FaqApp(choice.folder, config, start=choice.start)):
                return
        except FaqError as error:  # the run is damaged, or the app crashed on it; other runs can still be opened
            notice = str(error)


def _choice(config: Config, notice: str, select: Path | None) -> Choice | None:
    """Return the run that the user chooses in Home, or None if the user leaves the app."""
    from faq_tui.tui.home.app import HomeApp
    from faq_tui.tui.launch import open_app

    home = HomeApp(_here(), config, notice, select=select)
    open_app(home)
    return home.choice


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise FaqError("the current folder was deleted: change to another folder") from None


def _config(low_bandwidth: bool) -> Config:
    from faq_tui.tui.config import config_path, load_config

    config = load_config(config_path())
    return replace(config, low_bandwidth=True) if low_bandwidth else config
