"""`faq-tui export`: print or write a calibration set for other quantizers."""

from __future__ import annotations

from pathlib import Path

import click

from faq_tui.cli.format_help import FormatCommand
from faq_tui.core.extensions import EXPORTS


@click.command("export", cls=FormatCommand, formats=EXPORTS)
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--set", "set_name", required=True, help="Name of the set. `faq-tui status` lists the names.")
@click.option("--format", "kind", type=click.Choice(EXPORTS.names()), default="jsonl", show_default=True)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Write to this file instead of standard output. For a format that is a folder: write this new folder.",
)
@click.option(
    "--recipe",
    metavar="NAME",
    help="Recipe for a format that is a folder, such as gptq-w4g128.  [default: the first one that fits]",
)
def command(run_folder: Path, set_name: str, kind: str, output: Path | None, recipe: str | None) -> None:
    """Print a calibration set, or write it to a file or a folder.

    An existing file is replaced only after the whole set is written. If the command fails, the file stays unchanged.
    """
    import shlex
    import sys

    from faq_tui.core.base.files import whole_file
    from faq_tui.core.base.text import sanitize
    from faq_tui.core.export import FolderFormat, export, export_folder
    from faq_tui.core.run.run import open_to_look

    if EXPORTS.get(kind).binary and output is None and sys.stdout.isatty():
        raise click.UsageError(f"the format {kind} is binary: give --output FILE, or redirect standard output")
    folder = isinstance(EXPORTS.get(kind), FolderFormat)
    if recipe is not None and not folder:
        raise click.UsageError(f"the format {kind} needs no recipe: leave out --recipe")
    with open_to_look(run_folder) as run:
        if folder and output is not None:
            export_folder(run, set_name, kind, output, recipe)
            click.echo(output)
            if (output / "quantize.py").is_file():
                command = shlex.join(["python", str(output / "quantize.py")])
                click.echo(sanitize(f"next, where {kind} is installed: {command}"), err=True)
        elif output is None:
            export(run, set_name, kind, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with whole_file(output) as file:
                export(run, set_name, kind, file)
