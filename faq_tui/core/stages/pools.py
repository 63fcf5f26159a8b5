"""Choose where the worker children of a stage run: on this machine, or on the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faq_tui.core.cluster.connection import ClusterNode, connected
from faq_tui.core.cluster.pool import ClusterPool, TaskNeeds
from faq_tui.core.quantizing.parallel import Hardware, MissingArtefact, costs_on
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import ClusterNodes, Note
from faq_tui.core.worker.kept import end_kept
from faq_tui.core.worker.pool import WorkerPool

GPU = "gpu of the cluster"


def pool_for(context: Context) -> WorkerPool | ClusterPool:
    """A pool for the stage's workers. If the settings name a cluster, the stage stays connected until it ends.

    Waiting workers of this process end before the cluster is used, because this machine may be a part of it.

    Raises UsageError if Ray is not installed, and EndpointError if the cluster does not answer.
    """
    run, log = context.run, context.run.log(context.job)
    settings = run.settings.cluster
    if settings.address is None:
        return WorkerPool(log, context.cancel)
    end_kept()
    ray = context.resources.enter_context(connected(settings.address))

    def on_nodes(nodes: Sequence[ClusterNode]) -> None:
        context.emit(ClusterNodes(tuple(node.in_words() for node in nodes)))

    def say(text: str) -> None:
        context.emit(Note(text))

    return ClusterPool(ray, run.folder, log, context.cancel, settings.retries, say, on_nodes)


def needs_on(pool: ClusterPool, context: Context, target: Path | None, missing: MissingArtefact | None) -> TaskNeeds:
    """What a task reserves on its machine. `missing` is an artefact that is quantized; None for other tasks.

    `target` is the folder of the target; None if its files are not on this machine. Then nothing is known about the
    memory.
    """
    settings = context.run.settings
    wanted = 1 if missing is None else missing.gpus
    device, has_gpus = settings.target.device, pool.has_gpus or wanted > 1  # without a GPU, the pool refuses the task
    gpus = wanted * int(device == "cuda" or (device == "auto" and has_gpus))
    memory = 0.0
    if target is not None and missing is not None:
        _, costs = costs_on(Hardware(gpus=(GPU,) * gpus), target, [missing])
        memory = costs[0].host_bytes if costs else 0.0
    return TaskNeeds(settings.cluster.cpus, gpus, memory)
