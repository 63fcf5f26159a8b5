"""`faq-tui completion`: print a script that lets your shell complete `faq-tui` commands."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    For bash: faq-tui completion bash > ~/.local/share/bash-completion/completions/faq-tui
    """
    from click.shell_completion import get_completion_class

    from faq_tui.cli.main import faq_tui

    completion_class = get_completion_class(shell)
    assert completion_class is not None  # click supports bash, zsh and fish
    click.echo(completion_class(faq_tui, {}, "faq-tui", "_FAQ_TUI_COMPLETE").source())
