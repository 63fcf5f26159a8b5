"""`faq-tui units`: list the units of work of a run, which separate processes can do."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("units")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the units as one JSON object.")
@click.option("--ready", is_flag=True, help="Print only the names of the units that are ready or stale.")
@click.option("--kind", metavar="KIND", help="List only generate, activations, quantize, evaluate or benchmark.")
def command(run_folder: Path, as_json: bool, ready: bool, kind: str | None) -> None:
    """List the units of RUN: artefacts, evaluations, benchmarks, activations, and candidates of local sources.

    `faq-tui run RUN --unit NAME` does one unit. Several processes, also on several machines, may do different units
    of a run at the same time.
    """
    from faq_tui.core.run.run import open_run
    from faq_tui.core.units import units_of
    from faq_tui.core.units.unit import STAGES

    if as_json and ready:
        raise click.UsageError("--json and --ready cannot be used together")
    if kind is not None and kind not in STAGES:
        raise click.UsageError(f"no kind {kind!r}; the kinds are {', '.join(STAGES)}")
    with open_run(run_folder) as run:
        units = [unit for unit in units_of(run) if kind in (None, unit.kind)]
    if as_json:
        body = {"schema": 1, "run": str(run.folder), "units": [unit.to_json() for unit in units]}
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
    elif ready:
        for unit in units:
            if unit.state in ("ready", "stale"):
                click.echo(unit.name)
    else:
        from faq_tui.cli.unit_table import print_units

        print_units(units)
