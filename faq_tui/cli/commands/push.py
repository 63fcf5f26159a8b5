"""`faq-tui push`: upload an artefact to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("push")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("artefact")
@click.argument("repo_id", metavar="USER/NAME")
@click.option("--private", is_flag=True, help="Create private repositories.")
@click.option(
    "--with-calibration", is_flag=True, help="Also upload the calibration set, as the data set USER/NAME-calibration."
)
@click.option(
    "--dry-run",
    "dry_run",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Upload nothing. Write the cards, and links to the other files, into this folder.",
)
@click.option("--base-model", metavar="ID", help="Hub id of the target, if the target is a local folder.")
@click.option("--yes", "confirmed", is_flag=True, help="Publish although the licence is unknown or forbids changes.")
def command(
    run_folder: Path,
    artefact: str,
    repo_id: str,
    private: bool,
    with_calibration: bool,
    dry_run: Path | None,
    base_model: str | None,
    confirmed: bool,
) -> None:
    """Upload ARTEFACT of RUN, with its model card, to the Hugging Face hub.

    The token comes from the variable HF_TOKEN, or from `hf auth login`. After an interruption, run the same command
    again: what the hub already has is not sent again.
    """
    from faq_tui.core.base.text import counted, sanitize
    from faq_tui.core.publishing.plan import plan_push
    from faq_tui.core.publishing.repositories import Repository, new_folder
    from faq_tui.core.publishing.upload import check_concerns, push
    from faq_tui.core.run.run import open_run
    from faq_tui.core.run_summary import size_in_words

    def begin(repository: Repository) -> None:
        sizes = repository.sizes
        total = size_in_words(sum(sizes.values()))
        click.echo(
            f"uploading {counted(len(sizes), 'file')}, {total}, to the {repository.kind} {repository.id}", err=True
        )

    def warn(text: str) -> None:
        click.echo(sanitize(f"warning: {text}"), err=True)

    with open_run(run_folder) as run:
        plan = plan_push(run, artefact, repo_id, with_calibration, base_model)
        if dry_run is None:
            check_concerns(plan, private, confirmed)
        for concern in plan.concerns:
            warn(concern)
        if dry_run is None:
            for url in push(plan, private, begin, warn):
                click.echo(url)
            return
        folder = new_folder(dry_run, run.models)
        for repository in plan.repositories:
            repository.write(folder / repository.kind)
            click.echo(f"{repository.kind} {repository.id} in {folder / repository.kind}")
            for name, length in repository.sizes.items():
                click.echo(sanitize(f"  {name}  {size_in_words(length)}"))
