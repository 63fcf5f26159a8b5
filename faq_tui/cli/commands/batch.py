"""`faq-tui batch`: regenerate through batch files instead of a live server."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group("batch")
def command() -> None:
    """Regenerate through batch files in OpenAI's format, which vLLM run-batch and many services read.

    `faq-tui batch write RUN` writes the requests of all missing candidates. After a
    service has answered the requests, `faq-tui batch read RUN FILE` stores the answers.
    """


@command.command("write", short_help="Write the requests of all missing candidates.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="Write only the requests of this source. You can give the option several times.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Write to this file or into this folder.  [default: RUN/batch]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50_000,
    show_default=True,
    help="Maximum number of requests in a file. If there are more requests, several files are written.",
)
@click.option(
    "--max-model-len",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    help="Context window of the model in tokens. If an answer may exceed this window, its request omits max_tokens.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the list of written files as one JSON object.")
def write(
    run_folder: Path,
    sources: tuple[str, ...],
    output: Path | None,
    limit: int,
    max_model_len: int | None,
    as_json: bool,
) -> None:
    """Write the requests of all missing candidates of RUN, and print the paths of the files.

    Each source has its own file, SOURCE.jsonl. If the requests of a source take more than 200 MB, they are split into
    the files SOURCE.1.jsonl, SOURCE.2.jsonl and so on. The requests have the same parameters as requests to a live
    server.
    """
    from faq_tui.core.base.files import is_stream
    from faq_tui.core.base.shell import command_line
    from faq_tui.core.base.text import counted, sanitize
    from faq_tui.core.regenerating.batch import write_batch
    from faq_tui.core.run.run import open_run
    from faq_tui.core.stages.batch import check_before_batch

    with open_run(run_folder) as run:
        for warning in check_before_batch(run):
            click.echo(f"warning: {sanitize(warning)}", err=True)
        files = write_batch(run, sources, output, limit, max_model_len)
    if as_json:
        body = [{**vars(file), "path": str(file.path)} for file in files]
        click.echo(json.dumps({"schema": 1, "run": str(run.folder), "files": body}, indent=2))
        return
    if not files:
        click.echo(f"no candidate is missing; next: {command_line('run', run_folder)}", err=True)
    for file in files:
        size = f"{max(1, round(file.size / 1000)):,} kB"
        words = f"{file.source}: {counted(file.requests, 'request')} to {file.model}, {size}"
        click.echo(sanitize(words), err=True)
        if not is_stream(file.path):  # if the file is stdout itself, the path would mix with the requests
            click.echo(file.path)
    if files:
        click.echo(
            f"after the service has answered: {command_line('batch', 'read', run_folder, 'OUTPUT_FILE')}", err=True
        )


@command.command("read", short_help="Store the answers of a batch.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--skip-unusable",
    is_flag=True,
    help="Do not store unusable answers that faq-tui requests again because of on_truncated or on_flagged. The next "
    "`faq-tui run` requests these answers from the server.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
def read(run_folder: Path, files: tuple[Path, ...], skip_unusable: bool, as_json: bool) -> None:
    """Store the answers in the output FILEs of a batch (JSON lines, also packed with gzip, bzip2, xz or zstd).

    You can read the same file again, for example after the service has added answers to it. Answers that are already
    stored do not change. The exit code is 2 if no line of the FILEs answers a request of RUN.
    """
    from faq_tui.cli.foreground import stop_on_signals
    from faq_tui.core.base.errors import UsageError
    from faq_tui.core.base.text import sanitize
    from faq_tui.core.regenerating.batch import read_batch
    from faq_tui.core.run.run import open_run

    with open_run(run_folder) as run, stop_on_signals() as cancel:
        summary = read_batch(run, files, cancel, lambda text: click.echo(sanitize(text), err=True), skip_unusable)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2))
    else:
        for line in summary.in_words():
            click.echo(sanitize(line))
    if not summary.useful:
        raise UsageError(
            f"no line of {', '.join(str(file) for file in files)} answers a request of this run: check that it is "
            "the output file of this run's batch"
        )
