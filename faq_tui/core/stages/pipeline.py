"""The loop that runs the stages in order.

A stage is a function of a context. The stage reads the results of earlier stages and stores every unit of work
as soon as it is finished. A run can be resumed, because a stage that is called again does only the missing work. A
stage is stale if its signature, a hash of its settings and inputs, has changed.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped, UsageError, shortage
from faq_tui.core.base.files import full_disk_is_clear, private_folder
from faq_tui.core.base.secrets import Secrets
from faq_tui.core.base.steps import WorkStep, reported_to
from faq_tui.core.models.model_code import NO_MODEL, allowed_code, refuse_code
from faq_tui.core.run.context import Context, Stage
from faq_tui.core.run.event_file import EventFile
from faq_tui.core.run.events import (
    Emit,
    Event,
    Note,
    Preparing,
    StageDone,
    StageFailed,
    StageSkipped,
    from_json,
    to_json,
)
from faq_tui.core.run.job_record import new_id, write_job
from faq_tui.core.run.run import Run, locked
from faq_tui.core.settings.secrets import secrets_of_run
from faq_tui.core.stages.memory_check import memory_notices
from faq_tui.core.stages.set_check import check_sets
from faq_tui.core.stages.setting_notices import setting_notices
from faq_tui.core.stages.target_check import check_models, check_place
from faq_tui.core.store import stages as stage_rows
from faq_tui.core.store.stages import StageRow


def all_stages() -> tuple[Stage, ...]:
    """All stages of the pipeline, in the order in which they run."""
    from faq_tui.core.stages import STAGES

    return STAGES


def select(only: str | None, until: str | None) -> tuple[Stage, ...]:
    """The stages that the options `--only` and `--until` select. Raises UsageError."""
    stages = all_stages()
    names = [stage.name for stage in stages]
    for name in (only, until):
        if name is not None and name not in names:
            raise UsageError(f"no stage {name!r}; the stages are {', '.join(names)}")
    if only is not None:
        return (stages[names.index(only)],)
    return stages[: names.index(until) + 1] if until is not None else stages


def is_current(run: Run, stage: Stage) -> bool:
    """True if the stage has finished, and its settings and inputs have not changed since then."""
    row = stage_rows.all_rows(run.store).get(stage.name)
    return row is not None and _is_current(run, stage, row, stage.signature(run))


def is_signed(run: Run, stage: Stage, row: StageRow, signature: str) -> bool:
    """True if the stage's settings and inputs have not changed since `row` was stored. Its files may be missing.

    `signature` is the stage's present signature.
    """
    return row.signature == signature or stage.holds(run, row)


def _is_current(run: Run, stage: Stage, row: StageRow, signature: str) -> bool:
    return row.state == "done" and is_signed(run, stage, row, signature) and stage.intact(run)


def run_pipeline(
    run: Run,
    emit: Emit,
    cancel: CancelToken,
    only: str | None = None,
    until: str | None = None,
    job: str | None = None,
    confirmed: bool = False,
    retry_unusable: bool = False,
) -> None:
    """Run the selected stages in order.

    Raises the FaqError of the first stage that fails. Finished work stays stored.

    `job` is the name of the job's folder in `jobs/`; by default, a new name is made. `confirmed` is true if a person
    has agreed to the cost of regenerating. With `retry_unusable`, candidates that are stored but unusable are
    requested again.
    """
    selected = select(only, until)
    job = job or new_id()
    with locked(run, job), full_disk_is_clear(run.folder):
        if only is not None:
            _require_earlier(run, selected[0])
        if any(stage.name not in NO_MODEL for stage in selected):
            check_place(run)
            refuse_code(run)
        folder = run.jobs / job
        private_folder(folder)
        names = tuple(stage.name for stage in selected)
        write_job(folder, only, until, names)
        with EventFile(folder / "events.jsonl") as record:
            checks, secrets = ModelChecks(names), secrets_of_run(run.settings)
            for stage in selected:
                # A server that a stage starts is stopped at the end of that stage, to free memory for the next stage.
                with ExitStack() as resources:
                    # Other programs and libraries write into the job's log, and may write a key into it.
                    resources.callback(secrets.scrub, run.log(job))
                    context = Context(
                        *(run, recorded_without_secrets(record, emit, secrets), cancel, job, names, resources),
                        confirmed=confirmed,
                        retry_unusable=retry_unusable and stage.name == "regenerate",
                    )
                    with reported_to(partial(emit_step, context.emit)):
                        _run_stage(context, stage, checks)


def recorded_without_secrets(record: EventFile, emit: Emit, secrets: Secrets) -> Emit:
    """Returns a function that writes each event to the file, and then passes the event to `emit`.

    If an event contains a secret, for example in the error message of another program, the secret is masked.
    """

    def write_and_emit(event: Event) -> None:
        line = to_json(event)
        if (masked := secrets.masked(line)) != line:
            event, _ = from_json(masked)
        record.write_line(masked)
        emit(event)

    return write_and_emit


def emit_step(emit: Emit, step: WorkStep) -> None:
    emit(Preparing(step.what, step.done, step.total, step.unit, step.ended))


def _require_earlier(run: Run, stage: Stage) -> None:
    for earlier in all_stages():
        if earlier.name == stage.name:
            return
        if not is_current(run, earlier):
            raise UsageError(f"{earlier.name} must be up to date before {stage.name}: use `--until {stage.name}`")


class ModelChecks:
    """Checks the models once, before the first stage that uses a model or costs money."""

    def __init__(self, stages: Sequence[str]) -> None:
        self.stages, self.done = stages, False

    def before(self, context: Context, stage: Stage) -> None:
        """Raise UsageError if a model cannot be used. Warn about findings on seeds, tokens, memory and settings."""
        if self.done or stage.name in NO_MODEL:
            return
        run = context.run
        if "assemble" in self.stages:
            check_sets(run)
        for notice in setting_notices(run, self.stages):
            context.emit(Note(notice, "warning"))
        findings = check_models(run, self.stages, context.cancel, run.log(context.job))
        for notice in [*findings.notices, *memory_notices(run, self.stages), *allowed_code(run.settings)]:
            context.emit(Note(notice, "warning"))
        self.done = True


def _run_stage(context: Context, stage: Stage, checks: ModelChecks) -> None:
    store = context.run.store
    started = time.monotonic()
    try:
        summary = _execute_if_stale(context, stage, checks)
    except BaseException as error:  # noqa: BLE001  every end of a stage is recorded, even by Ctrl-C
        failure = without_secrets(context, as_faq_error(context, stage, error))
        state = "stopped" if isinstance(failure, Stopped) else "failed"
        stage_rows.end(store, stage.name, state, str(failure))
        context.emit(StageFailed(stage.name, str(failure), int(failure.exit_code)))
        raise failure from None
    if summary is None:
        context.emit(StageSkipped(stage.name, "up to date"))
        return
    stage_rows.end(store, stage.name, "done", summary)
    context.emit(StageDone(stage.name, round(time.monotonic() - started, 2), summary))


def _execute_if_stale(context: Context, stage: Stage, checks: ModelChecks) -> str | None:
    """Execute the stage and return its summary, or return None if the stage is current.

    The signature is computed only once, because computing it may take long.
    """
    run = context.run
    signature = stage.signature(run)
    row = stage_rows.all_rows(run.store).get(stage.name)
    if row is not None and _is_current(run, stage, row, signature) and not context.retry_unusable:
        if row.signature != signature:  # an earlier version of faq-tui computed the signature
            stage_rows.sign_again(run.store, stage.name, signature)
        return None
    stage_rows.begin(run.store, stage.name, signature, context.job)
    context.cancel.check()
    checks.before(context, stage)
    return stage.execute(context)


def without_secrets(context: Context, failure: FaqError) -> FaqError:
    message = secrets_of_run(context.run.settings).masked(str(failure))
    return failure if message == str(failure) else type(failure)(message)


def as_faq_error(context: Context, stage: Stage, error: BaseException) -> FaqError:
    """Return a FaqError unchanged.

    Convert any other error into a FaqError with one sentence, and write its traceback to the job's log.
    """
    if isinstance(error, FaqError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Stopped("stopped by request; finished work is kept, run the same command again to continue")
    if isinstance(error, OSError):
        try:
            with full_disk_is_clear(context.run.folder):
                raise error
        except FaqError as clear:
            return clear
        except OSError:
            pass
    log = context.run.log(context.job)
    with log.open("a", encoding="utf-8", errors="replace") as file:
        traceback.print_exception(error, file=file)
    if limit := shortage(error):
        return FaqError(f"{stage.name}: {limit}; finished work is kept, and the details are in {log}")
    reason = " ".join(str(error).split())[:300]
    return FaqError(f"{stage.name} failed with {type(error).__name__}: {reason}; the details are in {log}")
