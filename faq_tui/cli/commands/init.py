"""`faq-tui init`: a new run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--target", required=True, help='The model to quantize: hub id, local folder, or "embedded".')
@click.option("--seeds", required=True, help='A seed file, a `datasets` id, or "starter".')
@click.option("--elder-url", help="OpenAI-compatible URL of the larger sibling, ending in /v1.")
@click.option("--elder-model", help="Its model name there.")
@click.option("--judge-url", help="URL of the judge; without one the target's own likelihood judges.")
@click.option("--judge-model", help="Its model name there.")
def command(
    run_folder: Path,
    target: str,
    seeds: str,
    elder_url: str | None,
    elder_model: str | None,
    judge_url: str | None,
    judge_model: str | None,
) -> None:
    """Write the settings of a new run into RUN/faq.toml."""
    from faq_tui.core.settings.write import Choices, init_text, write_settings

    # Relative paths are the shell's here, the run folder's in the file.
    choices = Choices(_absolute(target), _absolute(seeds), elder_url, elder_model, judge_url, judge_model)
    path = write_settings(run_folder, init_text(choices))
    click.echo(f"wrote {path}")
    click.echo(f"next: faq-tui doctor {run_folder}, then faq-tui run {run_folder}", err=True)


def _absolute(name: str) -> str:
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name
