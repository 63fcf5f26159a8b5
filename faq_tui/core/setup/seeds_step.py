"""Step 2: the questions."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError, system_reason
from faq_tui.core.seeds import Problem, read_records, read_seed
from faq_tui.core.seeds.read import STARTER, format_of, starter_path
from faq_tui.core.seeds.reasons import DUPLICATE, ShapeError, in_short, reason_of
from faq_tui.core.settings import Seeds
from faq_tui.core.setup.draft import USUAL_SEEDS
from faq_tui.core.setup.step_report import Line, StepReport
from faq_tui.core.stages.seeds import HELDOUT_SHARE, role_counts
from faq_tui.core.store.seeds import Seed

DATASETS = "datasets"  # the name of the seed format that reads data sets of the hub
EXAMPLES = 'a file such as questions.jsonl, the id of a data set on the hub, or "starter"'
SHOWN, SHOWN_CHARACTERS = 3, 300
MOST_ROWS, MOST_SECONDS = 200_000, 5.0  # the counting of rows stops after this many rows or this many seconds
MOST_NUMBER = 10_000_000  # the largest number of seeds that a user can ask for
FEWEST = 8  # with fewer seeds than this, the comparison can show no difference


@dataclass(frozen=True)
class SeedsReport(StepReport):
    """`name` is the value for `seeds.path`; a relative path in the answer is stored as an absolute path.

    `count` and `heldout` are the numbers of seeds for the settings. `usual` are the numbers that fit the size of the
    file; they apply unless the user gives others.

    `usable` is None if the seeds cannot be counted now. `counted_all` is False if the file has more rows than were
    counted.
    """

    name: str = ""
    usable: int | None = None
    counted_all: bool = True
    answers: int = 0  # number of seeds with an original answer
    samples: tuple[str, ...] = ()  # the first questions
    count: int = USUAL_SEEDS.count
    heldout: int = USUAL_SEEDS.heldout
    usual: tuple[int, int] = (USUAL_SEEDS.count, USUAL_SEEDS.heldout)


def look_at_seeds(answer: str, here: Path, count: object = None, heldout: object = None) -> SeedsReport:
    """Read the questions. A relative path starts at the folder `here`. A data set of the hub is not read.

    `count` is the number of questions to regenerate, and `heldout` the number to hold out, as the user typed them. If
    they are None, the numbers fit the size of the file.
    """
    try:
        return _report(answer.strip(), here, Numbers.of(count, heldout))
    except FaqError as error:
        return SeedsReport(
            problem=str(error).replace("check seeds.path", "check the path").removeprefix("seeds.path ")
        )
    except (OSError, RuntimeError, ValueError) as error:
        return SeedsReport(problem=f"{answer.strip()!r} cannot be read ({system_reason(error)}): type {EXAMPLES}")


@dataclass(frozen=True)
class Numbers:
    """The numbers of seeds that the user has given; None if the user has not given the number."""

    count: int | None
    heldout: int | None

    @classmethod
    def of(cls, count: object, heldout: object) -> Numbers:
        """Raises UsageError if one of them is not a possible number."""
        return cls(
            _whole(count, 1, "the number of questions to regenerate"),
            _whole(heldout, 0, "the number of questions to hold out"),
        )

    def or_usual(self, usual: tuple[int, int]) -> tuple[int, int]:
        return (
            usual[0] if self.count is None else self.count,
            usual[1] if self.heldout is None else self.heldout,
        )


def _whole(number: object, least: int, what: str) -> int | None:
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= MOST_NUMBER:
        raise UsageError(f"{what} must be a whole number from {least} to {MOST_NUMBER:,}")
    return number


def _report(answer: str, here: Path, numbers: Numbers) -> SeedsReport:
    if not answer or not answer.isprintable():
        raise UsageError(f"type {EXAMPLES}")
    path = starter_path() if answer == STARTER else here / Path(answer).expanduser()
    if path.exists() and answer != STARTER:
        path = path.resolve()
        answer = str(path)
    elif answer.startswith(("./", "../", "~")):
        raise UsageError(f"no seed file at {path}: check the path")
    if not path.is_dir() and not any(sign in answer for sign in "*?[") and format_of(path, answer).name == DATASETS:
        text = f"There is no file {answer}, so this is a data set of the hub. faq-tui reads it when the run starts."
        count, heldout = numbers.or_usual((USUAL_SEEDS.count, USUAL_SEEDS.heldout))
        return SeedsReport((Line(text, "warning"),), name=answer, count=count, heldout=heldout)
    found = _read(path, Seeds(path=answer))
    if not found.seeds:
        skipped = f" ({in_short(found.skipped)} skipped)" if found.skipped else ""
        reason = f"; the first problem: {found.first_problem}" if found.first_problem else ""
        raise UsageError(f"{answer} contains no usable question{skipped}{reason}")
    return _of_seeds(answer, found, numbers)


@dataclass
class _Found:
    seeds: list[Seed]
    skipped: dict[str, int]
    shapes: Counter[str]
    usable: int = 0
    answers: int = 0
    first_problem: str = ""
    all: bool = True


def _read(path: Path, settings: Seeds) -> _Found:
    found, seen, deadline = _Found([], {}, Counter()), set[str](), time.monotonic() + MOST_SECONDS
    for number, item in enumerate(read_records(path, settings)):
        if number >= MOST_ROWS or time.monotonic() > deadline:
            found.all = False
            break
        if isinstance(item, Problem):
            _skip(found, reason_of(item.reason), f"line {item.line} is {item.reason}")
            continue
        try:
            seed = read_seed(item.raw, settings, f"{settings.path}:{item.line}").seed
        except ShapeError as error:
            _skip(found, error.reason, f"line {item.line} {error}")
            continue
        if seed.id in seen:
            _skip(found, DUPLICATE, f"line {item.line} repeats an earlier line")
            continue
        seen.add(seed.id)
        found.usable += 1
        found.answers += seed.answer is not None
        found.shapes[_shape(item.raw, seed)] += 1
        if len(found.seeds) < SHOWN:
            found.seeds.append(seed)
    return found


def _skip(found: _Found, reason: str, words: str) -> None:
    found.skipped[reason] = found.skipped.get(reason, 0) + 1
    found.first_problem = found.first_problem or words


def _shape(raw: Any, seed: Seed) -> str:
    """Say in which fields the question and the answer were found."""
    if isinstance(raw, str):
        return "plain text"
    if not isinstance(raw, dict):
        return "chats"
    question = next((name for name, value in raw.items() if value == seed.messages[-1]["content"]), None)
    answer = next((name for name, value in raw.items() if seed.answer and value == seed.answer), None)
    if question is None:
        chat = next((name for name, value in raw.items() if isinstance(value, list)), None)
        return f'chats in the field "{chat}"' if chat else "objects"
    return f'question in the field "{question}"' + (f', answer in the field "{answer}"' if answer else "")


def _of_seeds(name: str, found: _Found, numbers: Numbers) -> SeedsReport:
    usual = role_counts(USUAL_SEEDS, found.usable)
    usual = max(1, usual[0]), usual[1]
    wanted = numbers.or_usual(usual)
    count, heldout = role_counts(Seeds(path=name, count=wanted[0], heldout=wanted[1]), found.usable)
    several = "" if found.usable == 1 else "s"
    more = "" if found.all else "more than "
    lines = [Line(f"{more}{found.usable:,} usable question{several}, {found.answers:,} with an answer", "good")]
    shape = found.shapes.most_common(1)[0][0]
    others = len(found.shapes) - 1
    lines.append(Line(f"Form: {shape}{' and other forms' if others else ''}"))
    if found.skipped:
        lines.append(Line(f"Skipped: {in_short(found.skipped)}; the first problem: {found.first_problem}", "warning"))
    if found.usable < FEWEST:
        text = f"This is too few to show whether the data helped. Give at least {FEWEST}, and preferably 100 or more."
        lines.append(Line(text, "warning"))
    lines.append(Line(f"The run regenerates {count:,} and holds out {heldout:,} for the comparison."))
    if found.all and (count, heldout) != wanted and found.usable > 1:
        text = f"These are fewer than you ask for ({wanted[0]:,} and {wanted[1]:,}), because the file has only "
        text += f"{found.usable:,} usable questions, and at most one in {HELDOUT_SHARE} is held out."
        lines.append(Line(text, "warning"))
    samples = tuple(seed.messages[-1]["content"][:SHOWN_CHARACTERS] for seed in found.seeds)
    return SeedsReport(tuple(lines), "", name=name, usable=found.usable, counted_all=found.all,
                       answers=found.answers, samples=samples, count=wanted[0], heldout=wanted[1],
                       usual=usual)  # fmt: skip
