"""Open the app from a command. Only this module of the CLI imports the app, and only when it opens the app."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from faq_tui.tui.config import Config


def show_run(folder: Path, low_bandwidth: bool = False, start: bool = False) -> None:
    """Open the app. `start` starts the pipeline. Raises FaqError."""
    from faq_tui.tui.app import FaqApp
    from faq_tui.tui.launch import open_app

    _say(open_app(FaqApp(folder, _config(low_bandwidth), start=start)))


def show_replay(folder: Path, job: str | None, speed: float, low_bandwidth: bool = False) -> None:
    """Open a replay in the app. Raises FaqError."""
    from faq_tui.core.run.run import run_folder
    from faq_tui.tui.app import FaqApp
    from faq_tui.tui.launch import open_app
    from faq_tui.tui.player import Player, recording

    player = Player(recording(run_folder(folder), job), speed)
    _say(open_app(FaqApp(folder, _config(low_bandwidth), player)))


def _config(low_bandwidth: bool) -> Config:
    from faq_tui.tui.config import config_path, load_config

    config = load_config(config_path())
    return replace(config, low_bandwidth=True) if low_bandwidth else config


def _say(farewell: str) -> None:
    if farewell:
        click.echo(f"faq-tui: {farewell}", err=True)
