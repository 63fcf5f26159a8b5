"""Say before a run whether the target is read as a whole or layer by layer, and how much memory its weights take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.embedded import cached_model
from faq_tui.core.evaluation.environment import stored_bits
from faq_tui.core.evaluation.identity import evaluation_hash, texts
from faq_tui.core.evaluation.kinds import GREEDY
from faq_tui.core.models.devices import first_gpu, free_bytes
from faq_tui.core.models.hub import cached_folder
from faq_tui.core.models.memory_need import GIB, LAYERS, WHOLE, MemoryNeed, memory_need, no_memory_for_answers
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.settings.evaluate import TARGET_ANSWERS
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.measurements import heldout

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class TargetMemory:
    """The memory that the target needs, and the free memory, in bytes.

    `gpu` is None if the target runs on the CPU.
    """

    need: MemoryNeed
    read: str  # the value of target.read
    host: int | None  # None if the system does not report its free memory
    gpu: int | None

    @property
    def by_layers(self) -> bool:
        return self.read == LAYERS or (self.read != WHOLE and not self.need.fits(self.host, self.gpu))

    @property
    def too_small(self) -> str:
        """Say which memory is too small for the chosen way to read the weights: "GPU" or "host".

        Returns "" if the GPU memory and the host memory are large enough.
        """
        on_gpu = self.need.on_device if self.by_layers else self.need.whole
        on_host = self.need.on_host if self.by_layers else self.need.whole
        if self.gpu is not None and on_gpu > self.gpu:
            return "GPU"
        return "host" if self.host is not None and on_host > self.host else ""

    def in_words(self) -> str:
        whole = f"{self.need.whole / GIB:.1f} GiB"
        free = [f"{amount / GIB:.1f} GiB of {name} memory" for name, amount in self._free() if amount is not None]
        available = f"; free: {', '.join(free)}" if free else ""
        if not self.by_layers:
            return f"the weights are read as a whole, {whole}{available}"
        host = f"{self.need.on_host / GIB:.1f} GiB of host memory"
        both = host if self.gpu is None else f"{self.need.on_device / GIB:.1f} GiB of GPU memory and {host}"
        return f"the weights, {whole}, are read layer by layer and need {both}{available}"

    def _free(self) -> list[tuple[str, int | None]]:
        return [("GPU", self.gpu), ("host", self.host)]


def target_memory(run: Run) -> TargetMemory | None:
    """The memory that the target needs in judging, activations and evaluation.

    Returns None if the target's files are not on this machine.
    """
    target = run.settings.target
    if target.model == EMBEDDED:
        cached = cached_model()
        folder: Path | None = cached.folder if cached else None
    else:
        local = run.resolve(target.model)
        folder = local if local.is_dir() else cached_folder(target.model)
    if folder is None or not (folder / "config.json").is_file():
        return None
    gpu = first_gpu() if target.device != "cpu" else None
    stored = (stored_bits(folder) or 16) // 8
    item = BYTES.get(target.dtype) or (stored if gpu else 4)
    try:
        need = memory_need(folder, item)
    except FaqError:
        return None  # the check of the target reports this problem
    return TargetMemory(need, target.read, free_bytes("cpu"), gpu.free if gpu else None)


def memory_notices(run: Run, stages: Sequence[str]) -> list[str]:
    """Sentences about the target's memory that a person must read before the stages in `stages` run."""
    sampled, greedy = _answers_missing(run), GREEDY in texts(run)
    if "evaluate" not in stages or not (sampled or greedy):
        return []
    memory = target_memory(run)
    if memory is None or memory.read == WHOLE or memory.need.fits(memory.host, memory.gpu):
        return []
    return [no_memory_for_answers(memory.need, sampled, greedy)]


def _answers_missing(run: Run) -> bool:
    """True if the target must still write held-out answers, or if the seeds are not read yet."""
    settings = run.settings
    if TARGET_ANSWERS not in settings.evaluate.answers or not settings.seeds.heldout:
        return False
    seeds = seed_rows.ids_by_role(run.store, "heldout")
    return not seeds or not set(seeds) <= heldout(run.store, evaluation_hash(run)).keys()
