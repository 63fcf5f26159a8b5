"""Do one unit of a run, and nothing else. Several processes may do different units of a run at the same time."""

from __future__ import annotations

import difflib
import re
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped, UsageError
from faq_tui.core.base.files import full_disk_is_clear, private_folder
from faq_tui.core.base.shell import command_line
from faq_tui.core.base.steps import reported_to
from faq_tui.core.base.text import counted
from faq_tui.core.models.model_code import refuse_code
from faq_tui.core.run.context import Context, Stage
from faq_tui.core.run.event_file import EventFile
from faq_tui.core.run.events import Emit, Note, UnitDone, UnitFailed, UnitStarted
from faq_tui.core.run.run import Owner, Run, in_use, lock_owner
from faq_tui.core.run.unit_locks import taking_turns, working_on
from faq_tui.core.settings.secrets import secrets_of_run
from faq_tui.core.stages import activations, evaluate, evaluate_benchmarks, quantize, regenerate
from faq_tui.core.stages.pipeline import (
    ModelChecks,
    all_stages,
    as_faq_error,
    emit_step,
    is_current,
    recorded_without_secrets,
    without_secrets,
)
from faq_tui.core.stages.target_check import check_place
from faq_tui.core.store import stages as stage_rows
from faq_tui.core.store.units import UnitRow, put_unit
from faq_tui.core.units.listing import draw_of, local_sources, units_of
from faq_tui.core.units.unit import ACTIVATIONS, EVALUATE, GENERATE, QUANTIZE, Unit

NEAREST = 3  # an error message suggests at most this many names


def run_unit(run: Run, name: str, emit: Emit, cancel: CancelToken, confirmed: bool = False) -> None:
    """Do the unit `name`. If it is already done, only a note is emitted.

    `confirmed` is true if a person has agreed to the cost of regenerating. Raises UsageError if there is no such
    unit, or if the unit must wait for another one. Raises FaqError if another process works on the unit, if a job
    works on the run, or if the unit fails.
    """
    _find(run, name)
    with working_on(run.folder, name, lambda: _busy(run)):
        # Another process may have finished the unit before this process got the lock.
        unit = _find(run, name, mine=True)
        if unit.state == "done":
            emit(Note(f"{name} is already done"))
        elif unit.waits_for:
            raise UsageError(_waits(run, unit))
        else:
            check_place(run)
            refuse_code(run)
            with full_disk_is_clear(run.folder):
                _attempt(run, unit, emit, cancel, confirmed)
    _settle(run, unit.stage, job_of(name))


def job_of(name: str) -> str:
    """The name of the folder in `jobs/` that gets the events and the log of the unit `name`."""
    return f"unit-{re.sub(r'[^A-Za-z0-9._-]', '-', name)}"


def _find(run: Run, name: str, mine: bool = False) -> Unit:
    """The unit `name`. With `mine`, this process holds its lock. Raises UsageError if there is no such unit."""
    units = units_of(run, mine=name if mine else None)
    found = next((unit for unit in units if unit.name == name), None)
    if found is not None:
        return found
    near = difflib.get_close_matches(name, [unit.name for unit in units], NEAREST, 0.5)
    did_you_mean = (
        f"; did you mean {' or '.join(near)}?" if near else f": `{command_line('units', run.folder)}` lists them"
    )
    raise UsageError(f"there is no unit {name!r}{did_you_mean}")


def _waits(run: Run, unit: Unit) -> str:
    first = unit.waits_for[0]
    option = "--unit" if "/" in first else "--until"
    command = command_line("run", run.folder, option, first)
    return f"{unit.name} waits for {', '.join(unit.waits_for)}: first run `{command}`"


def _attempt(run: Run, unit: Unit, emit: Emit, cancel: CancelToken, confirmed: bool) -> None:
    job = job_of(unit.name)
    folder = private_folder(run.jobs / job)
    (folder / "events.jsonl").unlink(missing_ok=True)  # the file holds the last attempt
    secrets = secrets_of_run(run.settings)
    started = time.monotonic()
    with EventFile(folder / "events.jsonl") as record, ExitStack() as resources:
        # Other programs and libraries write into the log, and may write a key into it.
        resources.callback(secrets.scrub, run.log(job))
        emit = recorded_without_secrets(record, emit, secrets)
        context = Context(run, emit, cancel, job, (unit.stage,), resources, confirmed=confirmed)
        emit(UnitStarted(unit.name, socket.gethostname(), 1))
        state, failure, summary = "done", None, ""
        try:
            with reported_to(partial(emit_step, emit)):
                cancel.check()
                ModelChecks((unit.stage,)).before(context, _stage(unit.stage))
                summary = _work(context, unit)
        except BaseException as error:  # noqa: BLE001  every end of a unit is recorded, even by Ctrl-C
            failure = without_secrets(context, as_faq_error(context, _stage(unit.stage), error))
            state = "stopped" if isinstance(failure, Stopped) else "failed"
        seconds = round(time.monotonic() - started, 2)
        message = summary if failure is None else str(failure)
        # The work itself can change the inputs: an artefact that shares weights names another folder.
        inputs = unit.inputs if failure is not None else _find(run, unit.name, mine=True).inputs
        put_unit(run.store, UnitRow(unit.name, inputs, state, message, socket.gethostname(), seconds))
        if failure is not None:
            emit(UnitFailed(unit.name, message, int(failure.exit_code)))
            raise failure from None
        emit(UnitDone(unit.name, seconds, summary))


def _work(context: Context, unit: Unit) -> str:
    if unit.kind == GENERATE:
        source, seeds = draw_of(context.run, unit.subject)
        return regenerate.generate_one(context, source, set(seeds))
    if unit.kind == ACTIVATIONS:
        return activations.measure_one(context, unit.subject)
    if unit.kind == QUANTIZE:
        # Artefacts with the same weights are made by one process after the other: the second one shares them.
        with taking_turns(context.run.folder, f"weights-{unit.inputs[:16]}", context.cancel):
            return quantize.make_one(context, unit.subject)
    if unit.kind == EVALUATE:
        return evaluate.measure_one(context, unit.folder)
    return evaluate_benchmarks.measure_one(context, unit.folder)


def _stage(name: str) -> Stage:
    return next(stage for stage in all_stages() if stage.name == name)


def _settle(run: Run, name: str, job: str) -> None:
    """Record that a stage is done if all its units are done, so that the next job skips the stage."""
    stage = _stage(name)
    if is_current(run, stage):
        return
    if name == "regenerate" and len(local_sources(run)) < len(run.settings.sources):
        return
    units = [unit for unit in units_of(run) if unit.stage == name]
    if not all(unit.state == "done" for unit in units):
        return
    # A job that begins now does the rest itself.
    with suppress(FaqError), working_on(run.folder, f"stage/{name}", lambda: _busy(run)):
        stage_rows.begin(run.store, name, stage.signature(run), job)
        stage_rows.end(run.store, name, "done", f"{counted(len(units), 'unit')}, each done by a process of its own")


def _busy(run: Run) -> FaqError:
    return in_use(run.folder, lock_owner(run.folder) or Owner(0, ""))
