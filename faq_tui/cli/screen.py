"""Open the app from a command. This is the only module of the CLI that imports the app, when it is opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from faq_tui.tui.config import Config


def show_run(folder: Path, low_bandwidth: bool = False, start: bool = False) -> None:
    """`start`: begin the pipeline in it. Raises FaqError."""
    from faq_tui.tui.app import FaqApp
    from faq_tui.tui.launch import open_app

    _say(open_app(FaqApp(folder, _config(low_bandwidth), start=start)))


def show_replay(folder: Path, job: str | None, speed: float, low_bandwidth: bool = False) -> None:
    """Raises FaqError."""
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
