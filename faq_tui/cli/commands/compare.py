"""`faq-tui compare`: what differs between two runs."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("compare")
@click.argument("one", metavar="RUN_A", type=click.Path(path_type=Path))
@click.argument("other", metavar="RUN_B", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as one JSON object.")
def command(one: Path, other: Path, as_json: bool) -> None:
    """Show the settings that differ between two runs, the evidence of both on one scale, and the seeds for which they
    use different answers.

    If the runs have different targets or held-out texts, the output says that the figures are not comparable.
    """
    from faq_tui.core.run_comparison import compare_runs

    comparison = compare_runs(one, other)
    if as_json:
        click.echo(json.dumps(comparison.as_json(), indent=2, ensure_ascii=False))
        return
    from faq_tui.cli.comparison_text import print_comparison

    print_comparison(comparison)
