"""The questions of `faq-tui init` on a plain terminal, and the checks of its options.

The wizard of the app asks the same questions.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from faq_tui.core.base.errors import EndpointError, ExitCode, UsageError
from faq_tui.core.base.text import sanitize
from faq_tui.core.extensions import METHODS
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.settings.recipe import DEFAULT_METHOD, model_of
from faq_tui.core.setup import Draft, StepReport, create_run
from faq_tui.core.setup.plan_step import look_at_plan
from faq_tui.core.setup.recipe_step import look_at_recipe
from faq_tui.core.setup.seeds_step import MOST_NUMBER, SeedsReport, look_at_seeds
from faq_tui.core.setup.server_step import look_at_server, look_at_source
from faq_tui.core.setup.target_step import TargetReport, look_at_target

R = TypeVar("R", bound=StepReport)
STYLES: Mapping[str, Mapping[str, Any]] = {
    "good": {"fg": "green"},
    "warning": {"fg": "yellow"},
    "bad": {"fg": "red"},
    "dim": {"dim": True},
}
SERVER, SELF, NONE = "1", "2", "3"
WHO = """\
Which model answers the questions anew?
  1  a larger model of the same family, on a server
  2  the target itself, on this machine
  3  no model for now"""
INDENT = " " * 8
MOST_SHOWN = 20  # maximum number of a server's models that are listed


def refuse(target: str | None, seeds: str | None, servers: Mapping[str, Any]) -> None:
    """Check the options in the same way as the wizard checks its answers.

    Print the warnings about the larger model. Raises UsageError or EndpointError for the first option that cannot be
    used.
    """
    here = Path.cwd()
    if target is not None:
        _raise_problem(look_at_target(target, here))
    if seeds is not None:
        _raise_problem(look_at_seeds(seeds, here))
    for name in ("elder", "judge"):
        url, model = servers.get(f"{name}_url"), servers.get(f"{name}_model")
        if url and model and url.startswith("http"):
            draft = Draft(target=target or EMBEDDED, seeds=seeds or "starter", url=url, model=model)
            report = look_at_server(draft)
            _raise_problem(report, "; to write the settings without this check, add --no-check")
            if name == "elder":
                _show(replace(report, lines=tuple(line for line in report.lines if line.role == "warning")))


def _raise_problem(report: StepReport, hint: str = "") -> None:
    if report.problem:
        kind = EndpointError if report.exit_code == ExitCode.UNREACHABLE else UsageError
        raise kind(f"{report.problem}{hint}")


def ask_all(folder: Path | None, target: str | None, seeds: str | None, servers: Mapping[str, Any]) -> Path:
    """Ask for each value that the options do not give, check each answer, and write faq.toml. Returns its path.

    If an answer is refused, its question is asked again. Raises click.Abort if the person cancels.
    """
    here = Path.cwd()
    _say("Five questions about the new run. Ctrl-C cancels; nothing is written before the end.")
    found = _ask("1 of 5  Model to quantize", target, lambda answer: look_at_target(answer, here))
    questions = _ask("2 of 5  Questions", seeds, lambda answer: look_at_seeds(answer, here))
    for number, sample in enumerate(questions.samples, 1):
        _say_below(f"{number}. {sanitize(sample, 100)}", dim=True)
    questions = _ask_numbers(questions, here)
    draft = Draft(found.name, questions.name, count=questions.count, heldout=questions.heldout, short=found.short)
    draft = replace(draft, judge_url=servers.get("judge_url") or "", judge_model=servers.get("judge_model") or "")
    draft = _ask_source(draft, servers)
    draft = _ask_recipe(draft, found, folder or here)
    name = None if folder is None else str(folder)
    plan = _ask("5 of 5  Folder of the run", name, lambda answer: look_at_plan(draft, answer, here))
    click.confirm("Write the settings?", default=True, abort=True, err=True)
    return create_run(draft, plan.folder)


def _ask(question: str, given: str | None, look: Callable[[str], R]) -> R:
    """Ask until the check accepts an answer.

    `given` is the value of an option. If an option is given, its value is checked first, and the question is asked
    only if the check refuses the value.
    """
    answer = given
    while True:
        if answer is None:
            answer = str(click.prompt(question, err=True))
        else:
            _say(f"{question}: {sanitize(answer)}")
        report = look(answer)
        _show(report)
        if not report.problem:
            return report
        answer = None


def _ask_numbers(questions: SeedsReport, here: Path) -> SeedsReport:
    """Ask how many questions are regenerated, and how many are held out. The defaults fit the size of the file."""
    count, heldout = questions.usual
    most = click.IntRange(1, MOST_NUMBER)
    count = click.prompt("        Number of questions to regenerate", type=most, default=count, err=True)
    most = click.IntRange(0, MOST_NUMBER)
    heldout = click.prompt("        Number of questions to hold out", type=most, default=heldout, err=True)
    if (count, heldout) == questions.usual:
        return questions
    chosen = look_at_seeds(questions.name, here, count, heldout)
    _show(replace(chosen, lines=tuple(line for line in chosen.lines if line not in questions.lines)))
    return chosen


def _ask_source(draft: Draft, servers: Mapping[str, Any]) -> Draft:
    url, model = servers.get("elder_url"), servers.get("elder_model")
    if url is None:
        default = SELF if draft.target == EMBEDDED else SERVER
        who = click.prompt(f"3 of 5  {WHO}\n", type=click.Choice([SERVER, SELF, NONE]), default=default, err=True)
        if who != SERVER:
            draft = replace(draft, origin="self" if who == SELF else "none")
            _show(look_at_source(draft))
            return draft
    while True:
        url = url or str(click.prompt("        URL of the server, such as http://elder:8000/v1", err=True))
        report = look_at_server(replace(draft, url=url, model=model or ""))
        if report.problem and report.models and not model:
            _say_below(f"The server has: {', '.join(sanitize(name, 80) for name in report.models[:MOST_SHOWN])}")
            model = str(click.prompt("        Larger model", err=True))
            continue
        if report.problem and report.url and not model and report.exit_code == ExitCode.USAGE:
            model = str(click.prompt("        Name of the larger model", err=True))
            continue
        _show(report)
        if not report.problem:
            draft = replace(draft, origin="server", url=report.url, model=report.model)
            return replace(draft, window=report.window, rate=report.rate)
        if "api_key_env" in report.problem and not draft.key_env:
            key = click.prompt("        Environment variable that holds the API key", err=True)
            draft = replace(draft, key_env=str(key).strip())
            continue
        url = model = None


def _ask_recipe(draft: Draft, target: TargetReport, folder: Path) -> Draft:
    for name in METHODS.names():
        _say_below(f"{name}: {METHODS.get(name).help}", dim=True)
    while True:
        methods = click.Choice(list(METHODS.names()))
        method = str(click.prompt("4 of 5  Quantization method", type=methods, default=DEFAULT_METHOD, err=True))
        possible = [str(bits) for bits in model_of(method).choices("bits")]
        bits = possible[0]
        if len(possible) > 1:
            bits = click.prompt("        Bits per weight", type=click.Choice(possible), default=possible[0], err=True)
        chosen = replace(draft, method=method, bits=int(bits))
        report = look_at_recipe(chosen, target, folder.absolute())
        _show(report)
        if not report.problem:
            return chosen


def _show(report: StepReport) -> None:
    for line in report.lines:
        _say_below(line.text, **STYLES.get(line.role, {}))
    if report.problem:
        _say_below(report.problem, fg="red")


def _say_below(text: str, **style: Any) -> None:
    """Print text of a report, indented and wrapped between words."""
    width = max(40, shutil.get_terminal_size().columns - 1)
    _say(textwrap.fill(sanitize(text), width, initial_indent=INDENT, subsequent_indent=INDENT), **style)


def _say(text: str, **style: Any) -> None:
    click.echo(click.style(text, **style), err=True)
