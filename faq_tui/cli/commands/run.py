"""`faq-tui run`: run the stages in the foreground."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("run")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--only", metavar="STAGE", help="Run only this stage.")
@click.option("--until", metavar="STAGE", help="Run the stages up to and including this stage.")
@click.option("--unit", metavar="NAME", help="Do only this unit of work; `faq-tui units RUN` lists the units.")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Use this Ray cluster (auto, local or ray://HOST:PORT) instead of cluster.address.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON lines.")
@click.option("--yes", "confirmed", is_flag=True, help="Agree to the estimated cost of regeneration.")
@click.option("--retry-unusable", is_flag=True, help="Request a new answer for each unusable stored candidate.")
def command(
    run_folder: Path,
    only: str | None,
    until: str | None,
    unit: str | None,
    cluster: str | None,
    as_json: bool,
    confirmed: bool,
    retry_unusable: bool,
) -> None:
    """Run the stages of RUN that are not up to date.

    The stages are seeds, regenerate, judge, assemble, activations, quantize, evaluate, report. Stages that are up to
    date are skipped. After a stop or a crash, run the same command again to resume.
    """
    from faq_tui.cli.foreground import run_in_foreground, run_unit_in_foreground

    if only and until:
        raise click.UsageError("--only and --until cannot be used together")
    if unit is not None:
        if only or until or retry_unusable or cluster:
            raise click.UsageError(
                "--unit cannot be used together with --only, --until, --cluster or --retry-unusable"
            )
        run_unit_in_foreground(run_folder, unit, as_json, confirmed)
        return
    run_in_foreground(run_folder, only, until, as_json, confirmed, retry_unusable, cluster)
