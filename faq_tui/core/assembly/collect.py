"""Turning seeds and picks into samples, and counting by reason what had to be refused."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from faq_tui.core.assembly.overflow import fit
from faq_tui.core.assembly.render import Rendered, render_answered, render_seed
from faq_tui.core.assembly.sample import MIN_TOKENS, Sample
from faq_tui.core.assembly.template import RefusedError, Template
from faq_tui.core.settings import BASELINE, Assemble
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.picks import Pick
from faq_tui.core.store.seeds import Seed


class Collector:
    """Samples in the order of the seeds given; `refused` has set name to reason to count."""

    def __init__(self, template: Template, settings: Assemble) -> None:
        self.template = template
        self.settings = settings
        self.refused: dict[str, Counter[str]] = defaultdict(Counter)

    def baseline(self, set_name: str, seeds: Sequence[Seed]) -> list[Sample]:
        """The seeds as they are. Too long ones keep their head, as calibration sets are usually cut."""
        found = []
        overflow = "head" if self.settings.overflow == "keep_answer" else self.settings.overflow
        for seed in seeds:
            try:
                rendered = render_seed(self.template, seed.messages, seed.answer)
                found.append(self._sample(rendered, overflow, seed.id, None, BASELINE, None))
            except RefusedError as refusal:
                self.refused[set_name][str(refusal)] += 1
        return found

    def source(
        self, name: str, seeds: Sequence[Seed], picks: Mapping[str, Pick], candidates: Mapping[int, Candidate]
    ) -> list[Sample]:
        """Each seed with its picked candidate."""
        found = []
        for seed in seeds:
            try:
                pick, candidate = _picked(picks.get(seed.id), candidates)
                rendered = render_answered(self.template, seed.messages, candidate.reasoning, candidate.answer)
                overflow = self.settings.overflow
                found.append(self._sample(rendered, overflow, seed.id, candidate.id, name, pick.picked_by))
            except RefusedError as refusal:
                self.refused[name][str(refusal)] += 1
        return found

    def _sample(
        self,
        rendered: Rendered,
        overflow: str,
        seed_id: str,
        candidate_id: int | None,
        source: str,
        by: str | None,
    ) -> Sample:
        ids = fit(rendered, self.settings.max_tokens, overflow)
        if len(ids) < MIN_TOKENS:
            raise RefusedError(f"shorter than {MIN_TOKENS} tokens")
        text = self.template.decode(ids)
        return Sample(seed_id, candidate_id, source, text, ids, len(ids), len(rendered.ids), by)

    def reasons(self, set_name: str) -> str:
        """The refusals of a set in words."""
        return ", ".join(f"{count} {reason}" for reason, count in self.refused[set_name].items()) or "no seeds"


def _picked(pick: Pick | None, candidates: Mapping[int, Candidate]) -> tuple[Pick, Candidate]:
    if pick is None:
        raise RefusedError("not judged")
    candidate = candidates.get(pick.candidate_id or 0)
    if candidate is None:
        raise RefusedError("rejected by a person" if pick.picked_by == "person" else "no candidate was fit")
    return pick, candidate


def in_common(sets: Mapping[str, Sequence[Sample]]) -> dict[str, list[Sample]]:
    """The sets without the seeds that one of them lacks: then they compare at equal samples."""
    shared = set.intersection(*({sample.seed_id for sample in samples} for samples in sets.values()))
    return {name: [s for s in samples if s.seed_id in shared] for name, samples in sets.items()}
