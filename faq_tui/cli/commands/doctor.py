"""`faq-tui doctor`: check this machine and the servers of a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command("doctor")
@click.argument("run_folder", metavar="[RUN]", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the checks as one JSON object.")
def command(run_folder: Path | None, as_json: bool) -> int:
    """Check Python, compiler, libpcre2, torch, GPU, memory, disk and model cache.

    With RUN, also check its target, its endpoints, and whether its sources belong to the target's family. A test
    request for at most 16 tokens shows which parameters a server accepts. The exit code is 3 if the check of an
    endpoint failed, and 1 if any other check failed.
    """
    from faq_tui.core.base.errors import ExitCode
    from faq_tui.core.base.text import sanitize
    from faq_tui.core.doctor import (
        Check,
        endpoint_checks,
        family_checks,
        machine_checks,
        memory_checks,
        recipe_checks,
        target_checks,
    )
    from faq_tui.core.run.run import open_run

    checks = machine_checks(run_folder or Path.cwd())
    remote: list[Check] = []
    if run_folder is not None:
        with open_run(run_folder) as run:
            checks += [*target_checks(run), *family_checks(run), *memory_checks(run), *recipe_checks(run)]
            remote = endpoint_checks(run)
    if as_json:
        click.echo(json.dumps({"schema": 1, "checks": [asdict(check) for check in [*checks, *remote]]}, indent=2))
    else:
        mark = {
            "ok": click.style("ok", fg="green"),
            "warning": click.style("??", fg="yellow"),
            "failed": click.style("NO", fg="red"),
        }
        for check in [*checks, *remote]:
            click.echo(f"{mark[check.state]}  {check.name:<15} {sanitize(check.found)}")
            if check.advice:
                click.echo(f"    {'':<15} → {sanitize(check.advice)}")
    if any(check.state == "failed" for check in remote):
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED if any(check.state == "failed" for check in checks) else ExitCode.DONE
