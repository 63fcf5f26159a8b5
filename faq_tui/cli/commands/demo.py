"""`faq-tui demo`: the whole pipeline on a small embedded model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from faq_tui.core.base.shell import command_line
from faq_tui.core.store.stages import StageRow


@click.command("demo")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("faq-demo"), show_default=True)
@click.option("--headless", is_flag=True, help="Run without the app.")
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON lines.")
def command(folder: Path, headless: bool, as_json: bool) -> None:
    """Run all stages once on a small real model. The demo needs no GPU, server or account.

    The demo takes three to seven minutes on two cores, after a download of 93 MB. If the demo is stopped or killed,
    run the same command again to resume it.
    """
    from faq_tui.cli.foreground import run_in_foreground
    from faq_tui.core.run.run import open_run
    from faq_tui.core.settings.write import write_demo

    write_demo(folder)
    if not headless and not as_json:
        from faq_tui.cli.screen import show_run

        show_run(folder, start=True)
        return
    run_in_foreground(folder, None, None, as_json)
    if as_json:
        return
    from faq_tui.core.report.answer import in_short
    from faq_tui.core.report.document import document
    from faq_tui.core.report.formats import render_document
    from faq_tui.core.report.headline import in_numbers
    from faq_tui.core.store.stages import all_rows

    with open_run(folder) as run:
        body, rows = document(run), all_rows(run.store).values()
    click.echo(render_document(body, "md").partition("\n## What was run")[0])
    click.echo("\n".join(["", "## The demo's answer", "", *in_short(body), *in_numbers(body)]))
    click.echo("\n".join(["", "## Time", "", *times(rows)]))
    click.echo(f"Full report: {folder / 'reports' / 'report.md'}", err=True)
    click.echo(
        f"Next: {command_line('status', folder)}, or {command_line('pick', folder, 'SEED_ID', 'CANDIDATE')}", err=True
    )


def times(rows: Iterable[StageRow]) -> list[str]:
    """Return one line with the time of each finished stage, and a last line with the sum of the times.

    If the demo was stopped and resumed, the time of a stage is the time of its last run.
    """
    from faq_tui.core.base.text import duration

    took = {row.stage: row.finished - row.started for row in rows if row.finished is not None}
    lines = [f"- {stage}: {duration(seconds, exact=True)}" for stage, seconds in took.items()]
    return [*lines, f"- **all stages: {duration(sum(took.values()), exact=True)}**"]
