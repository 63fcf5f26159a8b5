"""`faq-tui try`: let the unquantized model and artefacts answer one prompt."""

from __future__ import annotations

from pathlib import Path

import click

from faq_tui.core.trying.request import HOTTEST, TOKENS


@click.command("try")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("artefacts", metavar="[ARTEFACT]...", nargs=-1)
@click.option("--prompt", "-p", help="The prompt. By default, the command asks for it, or reads standard input.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=TOKENS, show_default=True, help="Longest answer in tokens."
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, HOTTEST),
    default=0.0,
    show_default=True,
    help="Sampling temperature; 0 always takes the likeliest token.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed for a temperature above 0.")
@click.option("--json", "as_json", is_flag=True, help="Print the messages and the result as JSON lines.")
def command(
    run_folder: Path,
    artefacts: tuple[str, ...],
    prompt: str | None,
    max_tokens: int,
    temperature: float,
    seed: int,
    as_json: bool,
) -> None:
    """Let the unquantized model and each ARTEFACT answer one prompt.

    Without ARTEFACT, the first two artefacts of the settings answer. `faq-tui status` lists the names. The first
    token where an artefact departs from the unquantized model is marked, and the tokens after it are coloured.
    """
    from faq_tui.cli.foreground import stop_on_signals
    from faq_tui.cli.try_output import JsonAnswers, PlainAnswers, show_answers
    from faq_tui.core.run.run import open_run
    from faq_tui.core.trying.models import chosen_models
    from faq_tui.core.trying.request import TryRequest

    with open_run(run_folder) as run:
        models = chosen_models(run, artefacts)
        request = TryRequest(_prompt(prompt), max_tokens, temperature, seed)
        request.check()
        names = [model.name for model in models]
        output = JsonAnswers(names) if as_json else PlainAnswers(names)
        with stop_on_signals() as cancel:
            show_answers(run, models, request, output, cancel)


def _prompt(given: str | None) -> str:
    import sys

    from faq_tui.cli import ctrl_c

    if given is not None:
        return given
    if sys.stdin.isatty():
        with ctrl_c.ends_prompts():
            return str(click.prompt("Prompt", err=True))
    return sys.stdin.buffer.read().decode("utf-8", "replace").strip()
