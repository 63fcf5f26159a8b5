"""Show the answers of `faq-tui try` while they are streamed: as text with marks, or as JSON lines."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import click

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.text import sanitize
from faq_tui.core.run.run import Run
from faq_tui.core.trying.answer import TriedAnswer
from faq_tui.core.trying.bench import TryBench, forget_log
from faq_tui.core.trying.departure import AnswerComparison, compare
from faq_tui.core.trying.in_words import departure_in_words, figures_in_words
from faq_tui.core.trying.models import TriedModel
from faq_tui.core.trying.request import TryRequest

MARK = "[≠]"  # without colours, this mark stands before the first token that differs
WAIT_S = 0.1  # seconds between two checks for a request to stop


class Output(Protocol):
    """Shows messages about answers. `answers` holds the state of each answer, the unquantized model's first."""

    answers: dict[str, TriedAnswer]

    def take(self, name: str, message: dict[str, Any]) -> None: ...
    def end(self) -> None: ...


def show_answers(
    run: Run, models: Sequence[TriedModel], request: TryRequest, output: Output, cancel: CancelToken
) -> None:
    """Ask the models and show their answers. Raises Stopped after a cancel, and FaqError if a model fails."""
    forget_log(run)
    bench = TryBench(run)
    messages: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()
    failure: list[FaqError] = []

    def ask() -> None:
        try:
            bench.ask(models, request, lambda name, message: messages.put((name, message)))
        except FaqError as error:
            failure.append(error)
        finally:
            messages.put(None)

    asking = threading.Thread(target=ask, name="try", daemon=True)
    asking.start()
    try:
        while True:
            if cancel.is_set:
                bench.stop()
            try:
                item = messages.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            if item is None:
                break
            output.take(*item)
        if failure:
            raise failure[0]
        output.end()
    finally:
        bench.close()
    if cancel.is_set:
        raise Stopped("stopped by request; answers are not stored")
    failed = [answer for answer in output.answers.values() if answer.state == "failed"]
    if failed:
        others = f"; {len(failed)} of {len(models)} models did not answer" if len(models) > 1 else ""
        raise FaqError(f"{failed[0].name}: {failed[0].problem}{others}")


class JsonAnswers:
    """Prints each message as one line of JSON, and at the end a line with the whole answers."""

    def __init__(self, names: Sequence[str]) -> None:
        self.answers = {name: TriedAnswer(name) for name in names}

    def take(self, name: str, message: dict[str, Any]) -> None:
        self.answers[name].take(message)
        body = {key: value for key, value in message.items() if key not in ("kind", "number")}
        click.echo(json.dumps({"event": message["kind"], "model": name, **body}))
        sys.stdout.flush()

    def end(self) -> None:
        reference = next(iter(self.answers.values()))
        results = []
        for answer in self.answers.values():
            found = compare(reference, answer)
            unit = "equal_tokens" if found.by_token else "equal_characters"
            compared = {} if answer is reference else {unit: found.equal, "departed": found.departed}
            results.append({**answer.to_json(), **compared})
        click.echo(json.dumps({"event": "result", "answers": results}))


class PlainAnswers:
    """Prints one answer below the other. An answer is printed only after all earlier answers."""

    def __init__(self, names: Sequence[str]) -> None:
        self.answers = {name: TriedAnswer(name) for name in names}
        self._waiting = list(names)  # the answers that are not yet printed completely
        self._begun = False  # True if the heading of the first answer in `_waiting` is printed
        self._printed = 0  # number of printed characters of the first answer in `_waiting`

    def take(self, name: str, message: dict[str, Any]) -> None:
        self.answers[name].take(message)
        if message["kind"] == "loading":
            click.echo(f"{sanitize(name)}: loading the model …", err=True)
        self._print()

    def end(self) -> None:
        self._print()

    def _print(self) -> None:
        while self._waiting:
            answer = self.answers[self._waiting[0]]
            if answer.state in ("waiting", "loading"):
                return
            if not self._begun:
                self._begun = True
                click.secho(sanitize(answer.name), bold=True)
            self._print_new(answer)
            if not answer.ended:
                sys.stdout.flush()
                return
            self._print_end(answer)
            self._waiting.pop(0)
            self._begun, self._printed = False, 0

    def _compared(self, answer: TriedAnswer) -> AnswerComparison | None:
        reference = next(iter(self.answers.values()))
        return None if answer is reference else compare(reference, answer)

    def _print_new(self, answer: TriedAnswer) -> None:
        """Print the new characters. Other answers follow only after the unquantized model's answer is complete."""
        found = self._compared(answer)
        parts = [(answer.text, "")] if found is None else parts_of(found)
        start = 0
        for text, role in parts:
            new = text[max(0, self._printed - start) :]
            if new and role == "first" and self._printed <= start and not _colours():
                click.echo(MARK, nl=False)
            click.secho(sanitize(new, newlines=True), nl=False, **_STYLES[role])
            start += len(text)
        self._printed = max(self._printed, start)

    def _print_end(self, answer: TriedAnswer) -> None:
        found = self._compared(answer)
        if found is not None and found.departed and not found.first:
            click.secho(" ■" if _colours() else MARK, nl=False, **_STYLES["later"])
            self._printed += 1
        if self._printed:
            click.echo()
        if answer.state == "failed":
            click.secho(f"  failed: {sanitize(answer.problem)}\n", fg="red")
            return
        words = figures_in_words(answer)
        if found is not None:
            words.append(departure_in_words(found, next(iter(self.answers.values())), answer))
        click.secho(f"  {' · '.join(filter(None, words))}\n", dim=True)


_STYLES: dict[str, dict[str, Any]] = {
    "": {},
    "first": {"fg": "yellow", "reverse": True},
    "later": {"fg": "yellow"},
}


def _colours() -> bool:
    import os

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def parts_of(found: AnswerComparison) -> list[tuple[str, str]]:
    """The text of an answer as parts (text, role).

    The role is "" for equal text, "first" for the first token that differs, and "later" for the text after it.
    """
    return [(found.same, ""), (found.first, "first"), (found.later, "later"), (found.open, "")]
