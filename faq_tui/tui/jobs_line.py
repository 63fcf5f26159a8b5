"""The line that shows the running job: its stage, progress, rate and time left."""

from __future__ import annotations

from rich.text import Text

from faq_tui.core.base.steps import BYTES
from faq_tui.core.base.text import amount, sanitize, size
from faq_tui.core.run.events import Preparing
from faq_tui.core.run_plan import RunPlan
from faq_tui.tui.duration import clock_time, pace
from faq_tui.tui.live import LiveState, StageLive
from faq_tui.tui.session import Session
from faq_tui.tui.stage_marks import stale_in_words, strip
from faq_tui.tui.waiting import waiting_in_words
from faq_tui.tui.widgets.text import LiteralText

BAR = 30  # maximum width of the progress bar in cells
NARROWEST = 6
GAP = 3  # minimum number of cells between the sentence and the states of the stages
STYLES = {"failed": "bold red", "killed": "bold red", "stopped": "yellow", "done": "green"}


class JobsLine(LiteralText):
    """Shows the job. The app redraws it regularly, with the current keys for start and stop."""

    def __init__(self) -> None:
        super().__init__(id="jobs")

    def show_session(
        self, session: Session, now: float, keys: tuple[str, str], plan: RunPlan | None, errors: str = ""
    ) -> None:
        self.show(describe(session, now, keys, self.size.width, plan, errors))


def describe(
    session: Session, now: float, keys: tuple[str, str], width: int, plan: RunPlan | None = None, errors: str = ""
) -> Text:
    """The line in at most `width` cells. `keys` are the keys for start and stop, and `errors` is the key that shows
    the last errors.
    """
    start, stop = keys
    idle = False
    match session.phase:
        case "looking":
            line = Text("Looking for a running job …", style="dim")
        case "starting":
            line = Text("Starting the job …")
        case "running" | "replay":
            line = _running(session.live, now, width, plan)
        case "stopping":
            name = sanitize(session.live.stage.stage) if session.live.stage else "the job"
            line = Text(
                f"Stopping {name} at its next safe point; press {stop} again to end it at once.", style="yellow"
            )
        case _:
            idle, line = True, _idle(session, start, plan, width)
            if line.cell_len > width and session.outcome == "failed" and errors:
                line = _failed(session, f"{start} tries again, {errors} shows the whole error. ")
    if idle and plan is not None and plan.stages:
        line = _with_strip(line, plan, width)
    line.no_wrap = True
    line.truncate(width, overflow="ellipsis")
    return line


def _with_strip(line: Text, plan: RunPlan, width: int) -> Text:
    """The line, and at its right end the states of all stages if there is room."""
    stages = strip(plan)
    space = width - line.cell_len - stages.cell_len
    return line.append(" " * space).append_text(stages) if space >= GAP else line


def _idle(session: Session, start: str, plan: RunPlan | None, width: int) -> Text:
    stage = session.live.stage
    name = sanitize(stage.stage) if stage else "the job"
    recent = session.outcome not in (None, "done")  # if True, say how the last job ended, not which stages are stale
    stale = None if recent or plan is None else stale_in_words(plan, start, width)
    if stale is not None:
        return stale
    match session.outcome:
        case "killed":
            return Text.assemble(
                (f"{name}: the job was killed. ", STYLES["killed"]), f"{kept_in_words(stage)}; {start} resumes it."
            )
        case "failed":
            return _failed(session, f"{start} tries again. ")
        case "stopped":
            return Text.assemble(
                (f"{name}: stopped. ", STYLES["stopped"]), f"{kept_in_words(stage)}; {start} resumes it."
            )
        case "done":
            summary = sanitize(stage.message) if stage else ""
            return Text.assemble(("Finished. ", STYLES["done"]), (f"{name}: {summary}" if summary else "", "dim"))
        case _:
            return Text(
                f"Nothing is running. {start} starts the pipeline, or resumes it where it stopped.", style="dim"
            )


def _failed(session: Session, what_to_do: str) -> Text:
    stage = session.live.stage
    name, why = (sanitize(stage.stage), sanitize(stage.message)) if stage else ("the job", "")
    return Text.assemble((f"{name} failed. ", STYLES["failed"]), what_to_do, (why, "dim"))


def kept_in_words(stage: StageLive | None) -> str:
    """Say what is kept if the job ends early. An unfinished artefact does not count, even if it has a checkpoint."""
    if stage is None or stage.stage != "quantize":
        return "Finished work is kept"
    if not stage.done:
        return "No artefact is finished"
    return "1 finished artefact is kept" if stage.done == 1 else f"{stage.done:,} finished artefacts are kept"


def _running(live: LiveState, now: float, width: int, plan: RunPlan | None) -> Text:
    """The line with as many parts as fit. The most important parts come first: stage, bar, count, time left, rate,
    detail.
    """
    stage = live.stage
    if stage is None:
        return Text("Working …")
    if stage.state != "running":
        return Text.assemble(
            (f"{sanitize(stage.stage)} ", "bold"), stage.state, "  ", (sanitize(stage.message), "dim")
        )
    if waits := waiting_in_words(live.waiting.values(), now):
        return Text.assemble((f"{sanitize(stage.stage)} ", "bold"), (waits, "yellow"))
    if live.steps:
        return _preparing(stage.stage, *list(live.steps.values())[-1], now, width, plan)
    done, total, words, detail, speed, left = _progress(live, now)
    head = Text(f"{_place(stage.stage, plan)}{sanitize(stage.stage)}", style="bold")
    if not total:
        return Text.assemble(head, f"  {sanitize(detail)}" if detail else " …")
    parts = [words]
    if left is not None:
        parts.append(f"{clock_time(left)} left")
    if speed:
        parts.append(speed)
    if detail:
        parts.append(sanitize(detail))
    return _with_bar(head, done / total, parts, width)


def _preparing(stage: str, began: float, step: Preparing, now: float, width: int, plan: RunPlan | None) -> Text:
    """A step before the stage's first unit of work, with progress, rate and time left.

    If the size of the step is unknown, only the time since its start is shown.
    """
    head = Text.assemble((f"{_place(stage, plan)}{sanitize(stage)}", "bold"), f"  {sanitize(step.what)}")
    seconds = max(0.0, now - began)
    if not step.total:
        return head.append(f"  {clock_time(seconds)}", "dim")
    in_bytes = step.unit == BYTES
    words = amount(step.done, step.total) if in_bytes else f"{step.done:,} of {step.total:,} {sanitize(step.unit)}"
    parts, rate = [words], step.done / seconds if seconds >= 1 else 0.0
    if rate:
        speed = f"{size(rate)}/s" if in_bytes else pace(rate)
        parts += [f"{clock_time((step.total - step.done) / rate)} left", speed]
    return _with_bar(head, step.done / step.total, parts, width)


def _with_bar(head: Text, share: float, parts: list[str], width: int) -> Text:
    """The line with the bar and as many parts as fit. The most important part comes first."""
    room = width - head.cell_len - NARROWEST - 4
    while len(parts) > 1 and len(" · ".join(parts)) > room:
        parts.pop()
    tail = " · ".join(parts)
    cells = min(BAR, width - head.cell_len - len(tail) - 4)
    line = Text.assemble(head, "  ")
    if cells >= NARROWEST:
        line.append_text(bar(share, cells)).append("  ")
    return line.append(tail)


def _place(stage: str, plan: RunPlan | None) -> str:
    """The place of the stage among all stages, such as `2/8 `."""
    names = [one.name for one in plan.stages] if plan is not None else []
    return f"{names.index(stage) + 1}/{len(names)} " if stage in names else ""


def _progress(live: LiveState, now: float) -> tuple[int, int, str, str, str, float | None]:
    """Return (units done, all units, both in words, detail, rate, seconds left).

    During quantization the units are layers, and the words count those of each running artefact.
    """
    stage = live.stage
    assert stage is not None
    artefacts, left = live.running_artefacts(), live.seconds_left(now)
    if artefacts and all(artefact.layers for artefact in artefacts):
        done, total = sum(len(a.layer_done) for a in artefacts), sum(a.layers for a in artefacts)
        paces = [each for artefact in artefacts if (each := artefact.seconds_a_layer())]
        speed = pace(sum(1 / each for each in paces)) if paces else ""
        names = ", ".join(artefact.name for artefact in artefacts)
        first, last = stage.finished + 1, stage.finished + len(artefacts)
        which = f"model {first}" if first == last else f"models {first} to {last}"
        several = f", {which} of {stage.all_units}" if stage.all_units > 1 else ""
        layers = ", ".join(artefact.layers_in_words() for artefact in artefacts)
        return done, total, layers, f"{names}{several}", speed, left
    done, total = stage.finished, stage.all_units
    words = f"{done:,} of {total:,} {sanitize(stage.unit)}"
    return done, total, words, stage.detail, pace(live.per_second(now) or 0), left


def bar(share: float, cells: int) -> Text:
    """A bar in steps of half a cell, in the style of Rich's bars."""
    halves = round(max(0.0, min(1.0, share)) * cells * 2)
    full, half = divmod(halves, 2)
    rest = cells - full - half
    return Text.assemble(("━" * full + "╸" * half, "green"), ("─" * rest, "dim"))
