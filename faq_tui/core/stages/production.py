"""Make the artefacts of the stage `quantize` in worker children: several at the same time, if there is room."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.files import full_disk_is_clear, replace_folder
from faq_tui.core.cluster.node import PLACED
from faq_tui.core.cluster.pool import ClusterPool
from faq_tui.core.model_card.files import write_first_card
from faq_tui.core.models.dense import format_of_folder
from faq_tui.core.models.hub import cached_folder
from faq_tui.core.models.target import TargetModel
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.quantizing.parallel import MissingArtefact, WorkerPlace, places
from faq_tui.core.quantizing.servable import doubts, serve_commands
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import (
    ArtefactDone,
    ArtefactStarted,
    Event,
    LayerDone,
    LayerStarted,
    ModuleQuantized,
    Note,
    StageProgress,
    UnitStarted,
)
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Recipe
from faq_tui.core.settings.weights import kind_weights_of
from faq_tui.core.stages.pools import needs_on, pool_for
from faq_tui.core.stages.provenance import complete_manifest
from faq_tui.core.store.artefacts import Artefact, add_artefact, add_failure, artefacts_with
from faq_tui.core.store.sets import SetRow
from faq_tui.core.worker.parent import without_keys
from faq_tui.core.worker.pool import Ended, WorkerPool

STAGE = "quantize"
CHECKPOINTS = "checkpoints"  # name of a folder inside the run's cache folder
HALF = ".half-"  # prefix of folders that are being written


def kinds_file(run: Run, name: str) -> Path:
    return run.token_kinds / f"{name}.jsonl"


def checkpoints(run: Run, name: str, signature: str) -> Path:
    """The folder of the artefact's checkpoints.

    The folder's name contains the signature, so that no other artefact uses this folder.
    """
    return run.cache / CHECKPOINTS / f"{name}-{signature[:16]}"


@dataclass(frozen=True)
class WantedArtefact:
    """An artefact that is still to be made."""

    name: str
    recipe: Recipe
    set_row: SetRow
    signature: str


@dataclass
class _Running:
    """An artefact that is being made.

    `begun` is false while the artefact waits for a machine of a cluster.
    """

    job: WantedArtefact
    place: WorkerPlace
    begun: bool


class Production:
    """Makes the artefacts of one call of the stage: several at the same time, if there are several places.

    `signatures` maps the name of each artefact in the settings to its signature.
    """

    def __init__(
        self, context: Context, target: TargetModel, todo: Sequence[WantedArtefact], signatures: dict[str, str]
    ) -> None:
        self.context, self.run, self.target = context, context.run, target
        self.todo, self.signatures = todo, signatures
        self.env = without_keys(self.run.settings)
        self.waiting = list(todo)
        self.running: dict[str, _Running] = {}
        self.ended = 0  # number of artefacts that are made or have failed
        self.failed: dict[str, FaqError] = {}

    def make_all(self) -> list[tuple[str, FaqError]]:
        """Make the artefacts. Returns the name and the error of each artefact that failed.

        Raises Stopped after a request to stop, when all workers have ended.
        """
        stopped: Stopped | None = None
        free: list[WorkerPlace] = []
        try:
            with pool_for(self.context) as pool:
                while self.running or (self.waiting and stopped is None):
                    if isinstance(pool, ClusterPool):  # Ray decides which of the tasks run at the same time
                        free = [WorkerPlace(threads=self.run.settings.cluster.cpus)] * len(self.waiting)
                    elif not self.running:
                        # If an earlier artefact downloaded the target, the memory that the target needs is now known.
                        free = self._places()
                    while stopped is None and free and (job := self._next_job()) is not None:
                        self._begin(pool, job, free)
                    if not self.running:
                        continue
                    name, what = pool.next()
                    if not isinstance(what, Ended):
                        self._hear(self.running[name], what)
                        continue
                    running = self.running[name]
                    free.append(running.place)
                    if isinstance(what.error, Stopped):
                        stopped = what.error
                        self._forget(name)
                    else:
                        self._end(running, what.error)
        finally:
            for name in list(self.running):
                self._forget(name)
        if stopped is not None:
            raise stopped
        return [(job.name, self.failed[job.name]) for job in self.todo if job.name in self.failed]

    def _places(self) -> list[WorkerPlace]:
        if self.run.settings.quantize.parallel == 1 or len(self.waiting) < 2:
            return places(1, self.target.device, None, ())
        missing = [self._missing(job) for job in self.waiting]
        return places(self.run.settings.quantize.parallel, self.target.device, self._folder(), missing)

    def _missing(self, job: WantedArtefact) -> MissingArtefact:
        longest = min(self.run.settings.assemble.max_tokens, job.set_row.tokens)
        gpus = self.run.settings.quantize.gpus_per_artefact
        return MissingArtefact(job.recipe, job.set_row.samples, job.set_row.tokens, longest, gpus)

    def _folder(self) -> Path | None:
        """The folder of the target; None if its files are not on this machine."""
        return Path(self.target.path) if Path(self.target.path).is_dir() else cached_folder(self.target.path)

    def _next_job(self) -> WantedArtefact | None:
        """The next artefact. If a running worker makes the same weights, the artefact waits for this worker."""
        being_made = {running.job.signature for running in self.running.values()}
        return next((job for job in self.waiting if job.signature not in being_made), None)

    def _begin(self, pool: WorkerPool | ClusterPool, job: WantedArtefact, free: list[WorkerPlace]) -> None:
        """Start a worker for an artefact, or let the artefact share the weights of an artefact with the same
        signature."""
        self.waiting.remove(job)
        if not isinstance(pool, ClusterPool):  # on a cluster, the artefact first waits for a machine
            self._show_progress(job.name)
        try:
            with full_disk_is_clear(self.run.models):
                twin = _twin(self.run, job.name, self.signatures)
                if twin is not None:
                    self._share(job, twin)
                    return
        except FaqError as error:
            self._fail(job, error)
            return
        # A process that was killed left the folder behind. Nobody else writes this artefact now.
        shutil.rmtree(self._half(job.name), ignore_errors=True)
        place = free.pop(0)
        env, spec = {**self.env, **place.env}, self._spec(job, place)
        if isinstance(pool, ClusterPool):
            try:
                needs = needs_on(pool, self.context, self._folder(), self._missing(job))
                pool.start(job.name, STAGE, spec, env, needs)
            except FaqError as error:
                self._fail(job, error)
                return
        else:
            pool.start(job.name, STAGE, spec, env)
        self.running[job.name] = _Running(job, place, begun=not isinstance(pool, ClusterPool))

    def _show_progress(self, *begun: str) -> None:
        made = [name for name, one in self.running.items() if one.begun]
        names = ", ".join([*made, *begun])
        self.context.emit(StageProgress(STAGE, self.ended, len(self.todo), names))

    def _share(self, job: WantedArtefact, twin: Artefact) -> None:
        # an older artefact may be in this folder, made from another set with the same name
        shutil.rmtree(self.run.models / job.name, ignore_errors=True)
        _record(self.run, job, twin.name, twin.bits, 0.0)
        self.context.emit(Note(f"{job.name} has the same token ids as {twin.name}, so both share the same weights"))
        self.ended += 1

    def _half(self, name: str) -> Path:
        return self.run.models / f"{HALF}{name}"

    def _spec(self, job: WantedArtefact, place: WorkerPlace) -> dict[str, Any]:
        run, target = self.run, self.target
        spec = {
            "artefact": job.name,
            "recipe": job.recipe.identity(),
            "model": target.path,
            "trust_remote_code": target.trust_remote_code,
            "device": target.device,
            "rows": str(run.calibration / f"{job.set_row.name}.jsonl"),
            "out": str(self._half(job.name)),
            "checkpoints": str(checkpoints(run, job.name, job.signature)),
            "checkpoint_s": run.settings.quantize.checkpoint_s,
        }
        if run.settings.quantize.gpus_per_artefact > 1:
            spec["devices"] = run.settings.quantize.gpus_per_artefact
        if place.threads is not None:
            spec["threads"] = place.threads
        if place.sharing > 1:
            spec["sharing"] = place.sharing
        if kind_weights_of(job.recipe) is not None:
            spec |= {"kinds": str(kinds_file(run, job.set_row.name)), "ids_hash": job.set_row.ids_hash}
        return spec

    def _hear(self, running: _Running, message: dict[str, Any]) -> None:
        if message["kind"] == PLACED:
            running.begun = True
            self.context.emit(UnitStarted(f"{STAGE}/{running.job.name}", message["node"], message["attempt"]))
            self._show_progress()
        event = worker_event(running.job.name, message)
        if event:
            self.context.emit(event)

    def _end(self, running: _Running, error: BaseException | None) -> None:
        """Complete the artefact of a worker that has ended, or record why the artefact could not be made."""
        job, failure = running.job, None
        try:
            with full_disk_is_clear(self.run.models):
                if error is not None:
                    raise error
                self._complete(job)
        except FaqError as why:
            failure = why
        finally:
            self._forget(job.name)
        if failure is not None:
            self._fail(job, failure)
        if self.running and self._next_job() is None:
            self._show_progress()

    def _complete(self, job: WantedArtefact) -> None:
        """Move the artefact's folder to models/, and record the artefact.

        The figures come from the manifest, because the worker's last message can be lost: a machine of a cluster may
        be lost before the message has arrived.
        """
        run, name, half = self.run, job.name, self._half(job.name)
        manifest = complete_manifest(half, name, run, job.set_row)
        bits, seconds = manifest["average_bits"], manifest["seconds"]
        write_first_card(run, half, name, job.set_row.name)
        folder = run.models / name
        replace_folder(half, folder)
        _record(run, job, None, bits, seconds)
        shutil.rmtree(checkpoints(run, name, job.signature), ignore_errors=True)
        self.ended += 1
        self.context.emit(ArtefactDone(name, str(folder), seconds, bits))
        for doubt in doubts(folder):
            self.context.emit(Note(f"{name}: {doubt}", "warning"))
        command = serve_commands(folder, format_of_folder(folder)).get("vllm")
        if command:
            self.context.emit(Note(f"serve it with: {command}"))

    def _forget(self, name: str) -> None:
        """Remove an artefact from `running`, and remove its incomplete folder."""
        self.running.pop(name, None)
        shutil.rmtree(self._half(name), ignore_errors=True)

    def _fail(self, job: WantedArtefact, error: FaqError) -> None:
        self.failed[job.name] = error
        self.ended += 1
        add_failure(self.run.store, job.name, job.signature, str(error))
        if len(self.todo) > 1:
            more = "; the other artefacts are still being made" if self.running else ""
            more = "; the next artefact follows" if self.waiting else more
            self.context.emit(Note(f"{job.name}: {error}{more}", "warning"))


def _twin(run: Run, name: str, signatures: dict[str, str]) -> Artefact | None:
    """Another complete artefact with the same signature as the artefact `name`; None if there is none.

    The found artefact must match the settings, and must not share the folder of a third artefact.
    """
    signature = signatures[name]
    for other in artefacts_with(run.store, signature):
        alike = signatures.get(other.name, signature) == signature
        if alike and other.name != name and not other.same_as and is_whole(run.models / other.folder):
            return other
    return None


def worker_event(artefact: str, message: dict[str, Any]) -> Event | None:
    """The event for a message of the worker child; None for messages without an event."""
    match message["kind"]:
        case "quantize_started":
            return ArtefactStarted(artefact, message["layers"], message["samples"], message["tokens"])
        case "layer_started":
            return LayerStarted(artefact, message["layer"], tuple(message["modules"]))
        case "module":
            loss, seconds, note = message["loss"], message["seconds"], message["note"]
            return ModuleQuantized(artefact, message["layer"], message["module"], loss, seconds, note)
        case "layer_done":
            return LayerDone(artefact, message["layer"])
        case "resumed":
            return Note(f"{artefact} continues at layer {message['layer']}: earlier layers are already quantized")
    return None


def _record(run: Run, job: WantedArtefact, same_as: str | None, bits: float, seconds: float) -> None:
    add_artefact(
        run.store,
        Artefact(
            name=job.name,
            signature=job.signature,
            recipe=job.recipe.identity(),
            set_name=job.set_row.name,
            same_as=same_as,
            samples=job.set_row.samples,
            tokens=job.set_row.tokens,
            bits=bits,
            seconds=seconds,
        ),
    )
