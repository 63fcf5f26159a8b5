"""The result of the check of one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faq_tui.core.base.errors import ExitCode

Role = Literal["", "good", "warning", "bad", "dim"]


@dataclass(frozen=True)
class Line:
    """One line of a report. The role decides the colour. The text may come from a server or a file."""

    text: str
    role: Role = ""


def sentence(text: str) -> str:
    """The text with a capital letter at the beginning. The name faq-tui is always in small letters."""
    return text if text.startswith("faq-tui") else f"{text[:1].upper()}{text[1:]}"


@dataclass(frozen=True)
class StepReport:
    """What the check found.

    If `problem` is not empty, the answer is refused. `problem` says in one sentence what is wrong and what to do.
    """

    lines: tuple[Line, ...] = ()
    problem: str = ""
    exit_code: ExitCode = ExitCode.USAGE  # the exit code of `faq-tui init` if the answer is refused
