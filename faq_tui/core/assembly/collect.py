"""Turn seeds and picks into samples, and count the refused ones by reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from faq_tui.core.assembly.sample import MIN_TOKENS, Sample
from faq_tui.core.assembly.truncate import Truncated, cut_to_budget, truncate
from faq_tui.core.chat.render import Rendered, render_answered, render_raw, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import with_sink
from faq_tui.core.settings import BASELINE, Assemble, SetPlan
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.picks import Pick
from faq_tui.core.store.seeds import Seed


class Collector:
    """Samples in the order of the seeds given; `refused` counts by set name and reason."""

    def __init__(self, template: Template, settings: Assemble) -> None:
        self.template = template
        self.settings = settings
        self.refused: dict[str, Counter[str]] = defaultdict(Counter)

    def baseline(self, set_name: str, seeds: Iterable[Seed], plan: SetPlan) -> Iterator[Sample]:
        """Samples of the seeds in the plan's kind.

        Seeds that are too long keep their start, as is usual for calibration sets.
        """
        overflow = "head" if self.settings.overflow == "keep_answer" else self.settings.overflow
        for seed in seeds:
            try:
                rendered = self._seed(seed, plan)
                kept = self._truncated(rendered, plan, overflow)
                yield self._sample(seed, rendered, kept, BASELINE)
            except NotAssembledError as refusal:
                self.refused[set_name][str(refusal)] += 1

    def source(
        self,
        set_name: str,
        source: str,
        seeds: Sequence[Seed],
        picks: Mapping[str, Pick],
        candidates: Mapping[int, Candidate],
        plan: SetPlan,
    ) -> Iterator[Sample]:
        """Each seed with its picked candidate."""
        for seed in seeds:
            try:
                pick, candidate = _picked(picks.get(seed.id), candidates)
                reasoning = "" if plan.answer_only else candidate.reasoning
                rendered = render_answered(self.template, seed.messages, reasoning, candidate.answer)
                kept = self._truncated(rendered, plan, self.settings.overflow)
                yield self._sample(seed, rendered, kept, source, candidate.id, pick.picked_by)
            except NotAssembledError as refusal:
                self.refused[set_name][str(refusal)] += 1

    def _seed(self, seed: Seed, plan: SetPlan) -> Rendered:
        if plan.kind == "raw":
            return render_raw(self.template, seed.messages, seed.answer)
        if plan.kind == "original" and not seed.answer:
            raise NotAssembledError("the seed has no original answer")
        return render_seed(self.template, seed.messages, None if plan.kind == "template" else seed.answer)

    def _truncated(self, rendered: Rendered, plan: SetPlan, overflow: str) -> Truncated:
        most = self.settings.max_tokens
        if plan.tokens_per_sample is not None:
            return cut_to_budget(rendered, min(most, plan.tokens_per_sample))
        return truncate(rendered, most, overflow)

    def _sample(
        self,
        seed: Seed,
        rendered: Rendered,
        kept: Truncated,
        source: str,
        candidate_id: int | None = None,
        picked_by: str | None = None,
    ) -> Sample:
        if len(kept.ids) < MIN_TOKENS:
            raise NotAssembledError(f"shorter than {MIN_TOKENS} tokens")
        return Sample(
            seed_id=seed.id,
            candidate_id=candidate_id,
            source=source,
            text=self.template.decode(kept.ids),
            input_ids=kept.ids,
            n_tokens=len(kept.ids),
            n_tokens_full=len(rendered.ids),
            picked_by=picked_by,
            answered=rendered.answer != (0, 0),
            answer_end=kept.answer_end,
            way=rendered.way,
            kinds=with_sink(kept.kinds),
        )

    def reasons(self, set_name: str) -> str:
        """The refusals of a set as a phrase for the screen."""
        return ", ".join(f"{count} {reason}" for reason, count in self.refused[set_name].items()) or "no seeds"


def _picked(pick: Pick | None, candidates: Mapping[int, Candidate]) -> tuple[Pick, Candidate]:
    if pick is None:
        raise NotAssembledError("not judged")
    candidate = candidates.get(pick.candidate_id or 0)
    if candidate is None:
        raise NotAssembledError("rejected by a person" if pick.picked_by == "person" else "no candidate was fit")
    return pick, candidate
