"""Estimate the memory and the time of units. The estimates are those of `faq-tui doctor`."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.embedded import cached_model
from faq_tui.core.models.hub import cached_folder
from faq_tui.core.models.memory_need import GPU_BESIDE, HOST_BESIDE
from faq_tui.core.quantizing.cost_model import QuantizationCost
from faq_tui.core.quantizing.parallel import Hardware, MissingArtefact, costs_on, hardware_for
from faq_tui.core.regenerating.candidate_requests import pending_candidates
from faq_tui.core.regenerating.generation_cost import estimate_cost
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Recipe
from faq_tui.core.stages.memory_check import target_memory
from faq_tui.core.store.sets import SetRow
from faq_tui.core.units.unit import Needs


class Estimates:
    """The needs of a run's units. Equal estimates are computed only once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._costs: dict[tuple[str, int, int], QuantizationCost | None] = {}

    @cached_property
    def _machine(self) -> Hardware:
        return hardware_for(self.run.settings.target.device)

    @cached_property
    def gpus(self) -> int:
        """The number of GPUs that a unit uses: 0 or 1. An artefact can use more (see `quantize`)."""
        device = self.run.settings.target.device
        return int(device == "cuda" or (device == "auto" and bool(self._machine.gpus or self._machine.other_gpu)))

    @cached_property
    def _target(self) -> Path | None:
        """The folder of the target; None if its files are not on this machine."""
        name = self.run.settings.target.model
        if name == EMBEDDED:
            cached = cached_model()
            return cached.folder if cached else None
        folder = self.run.resolve(name)
        return folder if folder.is_dir() else cached_folder(name)

    def quantize(self, recipe: Recipe, row: SetRow | None) -> Needs:
        """The needs of one artefact. `row` is its calibration set; None if the set is not assembled."""
        each = self.run.settings.quantize.gpus_per_artefact
        gpus = self.gpus * each
        if row is None or self._target is None:
            return Needs(gpus)
        key = repr(sorted(recipe.identity().items())), row.samples, row.tokens
        if key not in self._costs:
            longest = min(self.run.settings.assemble.max_tokens, row.tokens)
            missing = MissingArtefact(recipe, row.samples, row.tokens, longest, each)
            _, costs = costs_on(self._machine, self._target, [missing])
            self._costs[key] = costs[0] if costs else None
        cost = self._costs[key]
        if cost is None:
            return Needs(gpus)
        gpu = round(cost.gpu_bytes) if gpus else None
        return Needs(gpus, gpu, round(cost.host_bytes), round(cost.seconds, 1))

    @cached_property
    def _forward(self) -> Needs:
        try:
            memory = target_memory(self.run)
        except FaqError:
            memory = None
        if memory is None:
            return Needs(self.gpus)
        on_gpu = memory.need.on_device if memory.by_layers else memory.need.whole
        on_host = memory.need.on_host if memory.by_layers else memory.need.whole
        return Needs(self.gpus, on_gpu + GPU_BESIDE if self.gpus else None, on_host + HOST_BESIDE)

    def forward(self) -> Needs:
        """The needs of a unit that runs text through a model of the target's size."""
        return self._forward

    @cached_property
    def _seconds_each(self) -> dict[str, float | None]:
        """For each source, the seconds that one candidate takes; None if they are not known yet."""
        found: dict[str, float | None] = {}
        for name, source in self.run.settings.sources.items():
            pending = pending_candidates(self.run, source)
            seconds = estimate_cost(self.run.store, name, source, pending).seconds if pending else None
            found[name] = None if seconds is None else seconds / len(pending)
        return found

    def generate(self, source: str, seeds: Collection[str]) -> Needs:
        """The needs of the candidates of a local source for some seeds."""
        each = self._seconds_each[source]
        count = self.run.settings.sources[source].candidates * len(seeds)
        forward = self._forward if self.run.settings.sources[source].model == self.run.settings.target.model else None
        seconds = None if each is None else round(each * count, 1)
        if forward is None:
            return Needs(self.gpus, seconds=seconds)
        return Needs(self.gpus, forward.gpu_bytes, forward.host_bytes, seconds)
