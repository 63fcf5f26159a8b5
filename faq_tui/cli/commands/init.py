"""`faq-tui init`: create a new run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


def _list_presets(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from faq_tui.core.paper.experiments import all_experiments

    for experiment in all_experiments():
        click.echo(f"{experiment.name:<15} {experiment.about()}")
    ctx.exit()


class SettingOption(click.Option):
    """An option that sets a key of `faq.toml`. The option's help ends with the schema's description of the key.

    Loading the schema takes time, so it is loaded only when the help is shown. The schema also describes the settings
    of other installed packages.
    """

    def __init__(self, *args: Any, section: str, key: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.setting, self.lead = (section, key), self.help or ""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from faq_tui.core.settings.comments import description

        self.help = f"{self.lead}: {description(*self.setting)}."
        return super().get_help_record(ctx)


@click.command("init")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path), required=False)
@click.option("--target", cls=SettingOption, section="target", key="model", help="The model to quantize")
@click.option("--seeds", cls=SettingOption, section="seeds", key="path", help="The questions")
@click.option(
    "--preset",
    help="An experiment of the paper, such as paper/table1. Its settings are written into faq.toml.",
)
@click.option("--elder-url", help="URL of the server that runs a larger model of the family. The URL ends in /v1.")
@click.option("--elder-model", help="Name of the larger model on its server.")
@click.option("--judge-url", help="URL of the judge model. By default, answers are judged by their likelihood.")
@click.option("--judge-model", help="Name of the judge model on its server.")
@click.option("--no-input", is_flag=True, help="Ask nothing, even if options are missing.")
@click.option("--no-check", is_flag=True, help="Write the settings without checking target, seeds and servers.")
@click.option(
    "--list-presets",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_presets,
    help="List the presets and exit.",
)
def command(
    run_folder: Path | None,
    target: str | None,
    seeds: str | None,
    preset: str | None,
    no_input: bool,
    no_check: bool,
    **servers: Any,
) -> None:
    """Write the settings of a new run into RUN/faq.toml.

    In a terminal, `init` asks for the options that are missing. It checks target, seeds and servers in the same way
    as the app. If the target, the seeds or a server cannot be used, `init` writes nothing.

    With --preset, the other options override the settings of the preset. A run has only one target. If the preset's
    table has several targets, choose one with --target. Without --target, the run gets the first target of the table.
    """
    from faq_tui.cli import ctrl_c, init_questions
    from faq_tui.core.settings.write import write_settings

    asks = preset is None and not no_input and sys.stdin.isatty() and sys.stderr.isatty()
    if asks and (run_folder is None or target is None or seeds is None):
        with ctrl_c.ends_prompts():
            path = init_questions.ask_all(run_folder, target, seeds, servers)
        click.echo(f"wrote {path}")
        _say_next(path.parent)
        return
    if run_folder is None:
        raise click.UsageError("Missing argument 'RUN'.", click.get_current_context())
    # A relative path in an option starts at the current folder. A relative path in faq.toml starts at the run folder.
    target, seeds = (None if name is None else _absolute(name) for name in (target, seeds))
    text = _text(target, seeds, preset, servers)
    if not no_check and not (run_folder / "faq.toml").exists():
        if preset is None:
            init_questions.refuse(target, seeds, servers)
        else:  # the target of a preset may be only a name from the paper, and the servers of a preset are examples
            init_questions.refuse(None, seeds, {})
    path = write_settings(run_folder, text)
    click.echo(f"wrote {path}")
    if target is not None and (problem := _no_model(target)):
        click.echo(f"warning: {problem}", err=True)
    if preset is not None:
        click.echo(f"first set the URLs of the servers in {path}: edit the lines with the comment 'yours'", err=True)
    _say_next(run_folder)


def _say_next(folder: Path) -> None:
    from faq_tui.core.base.shell import command_line

    click.echo(f"next: {command_line('doctor', folder)}, then {command_line('run', folder)}", err=True)


def _text(target: str | None, seeds: str | None, preset: str | None, servers: Mapping[str, Any]) -> str:
    """The text of faq.toml. Raises UsageError if options contradict each other, or if one is missing."""
    from faq_tui.core.settings.write import Choices, init_text

    if preset is not None:
        from faq_tui.core.paper.preset_text import PresetChoices, preset_text

        return preset_text(preset, PresetChoices(target, seeds, **servers))
    for name, value in (("--target", target), ("--seeds", seeds)):
        if value is None:
            raise click.UsageError(f"Missing option '{name}'.", click.get_current_context())
    assert target is not None and seeds is not None
    return init_text(Choices(target, seeds, **servers))


def _no_model(target: str) -> str:
    """Return one sentence that says why no model can be loaded from the target's local path.

    Return "" if a model can be loaded, or if the target is not a local path.
    """
    from faq_tui.core.base.errors import FaqError
    from faq_tui.core.models.folder_check import check_folder

    path = Path(target)
    if not path.is_absolute():
        return ""  # the target is a hub id, or a path that does not exist yet
    if path.is_file():
        return f"{path} is a file, but target.model must name a Hugging Face model folder"
    if not path.is_dir():
        return f"target.model names the folder {path}, which does not exist yet"
    try:
        check_folder("target.model", path)
    except FaqError as error:
        return str(error)
    return ""


def _absolute(name: str) -> str:
    try:
        path = Path(name).expanduser()
        return str(path.resolve()) if path.exists() else name
    except (OSError, RuntimeError, ValueError):  # this name cannot be a path, for example because it is too long
        return name
