"""Make every calibration set of a run. Seeds and picks become samples, which are then mixed, sorted and cut."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from faq_tui.core.assembly.blend import Blend, interleaved
from faq_tui.core.assembly.matching import Keep, cut_evenly, cut_to_tokens, mix, only, shared_seeds
from faq_tui.core.assembly.sample import MIN_TOKENS, Sample, Truncated, answer_cut, cut_to_budget, truncate
from faq_tui.core.base.errors import FaqError
from faq_tui.core.chat.render import Rendered, render_answered, render_raw, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import with_sink
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX, Assemble, SetPlan
from faq_tui.core.settings.sets import PROSE, in_order
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.picks import Pick
from faq_tui.core.store.seeds import Seed

Candidates = Callable[[int], Candidate | None]  # reads the candidate with this id


class Collector:
    """Makes samples in the order of the given seeds. For each set, `refused` counts the refused seeds by reason.

    `keep` stores the long parts of each sample, so that a set may be larger than the memory (see `spool`).
    """

    def __init__(self, template: Template, settings: Assemble, keep: Keep = lambda sample: sample) -> None:
        self.template = template
        self.settings = settings
        self.keep = keep
        self.refused: dict[str, Counter[str]] = defaultdict(Counter)

    def baseline(self, set_name: str, seeds: Iterable[Seed], plan: SetPlan) -> Iterator[Sample]:
        """Make samples of the seeds. The plan's `kind` names the form of the samples.

        If a sample is too long, its end is cut off, as is usual for calibration sets.
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
        seeds: Iterable[Seed],
        picks: Mapping[str, Pick],
        candidates: Candidates,
        plan: SetPlan,
    ) -> Iterator[Sample]:
        """For each seed, make a sample of the seed and its picked candidate."""
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
        short = rendered if plan.answers_cut is None else answer_cut(rendered, plan.answers_cut)
        if plan.tokens_per_sample is not None:
            kept = cut_to_budget(short, self.longest(plan))
        else:
            kept = truncate(short, self.longest(plan), overflow)
        return kept if short is rendered else replace(kept, answer_end=0)

    def longest(self, plan: SetPlan) -> int:
        """The largest number of tokens of a sample in the set."""
        return min(self.settings.max_tokens, plan.tokens_per_sample or self.settings.max_tokens)

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
        sample = Sample(
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
        return self.keep(sample)

    def reasons(self, set_name: str) -> str:
        """The reasons why seeds of the set were refused, each with its number of seeds, as one phrase."""
        return ", ".join(f"{count} {reason}" for reason, count in self.refused[set_name].items()) or "no seeds"


def _picked(pick: Pick | None, candidates: Candidates) -> tuple[Pick, Candidate]:
    if pick is None:
        raise NotAssembledError("not judged")
    candidate = candidates(pick.candidate_id or 0)
    if candidate is None:
        raise NotAssembledError("rejected by a person" if pick.picked_by == "person" else "no candidate was usable")
    return pick, candidate


Sets = dict[str, list[Sample]]
# A function (plan, samples, number) that returns the samples of a set in a new order. `number` is how many samples
# the set will keep; None if the set keeps all samples.
Order = Callable[[SetPlan, list[Sample], int | None], list[Sample]]
EQUAL = 0.005  # token counts that differ by less than this share are treated as equal


@dataclass(frozen=True)
class Material:
    """The seeds, picks and candidates from which the sets are made.

    The seeds of a draw are in random order. Therefore, for every n, the first n seeds are a random sample.
    """

    chosen: Iterable[Seed]  # is read several times
    reserve: Callable[[], Iterable[Seed]]  # reads further seeds, for which no source has generated answers
    picks: Mapping[str, Mapping[str, Pick]]  # maps a source's name and a seed's id to the pick
    candidates: Candidates
    key: object  # random seed for mixing the sources of a set
    # `prose(name of the set, longest)` yields rows of prose with at most `longest` tokens each.
    prose: Callable[[str, int], Iterator[Sample]] = lambda _name, _longest: iter(())


class Builder:
    """Builds every set of `plans`. `warnings` collects a sentence for each set that is smaller than requested."""

    def __init__(
        self,
        collector: Collector,
        material: Material,
        plans: Mapping[str, SetPlan],
        order: Order,
        check: Callable[[], None],
    ) -> None:
        self.collector, self.material, self.plans = collector, material, plans
        self.order, self.check = order, check
        self.warnings: list[str] = []

    def plain(self, default: Sequence[str], common_seeds: bool) -> Sets:
        """Build the sets of the plans.

        If `common_seeds` is true, each set uses only the seeds that have a sample in every set of `default`.
        """
        parts = {name: self._parts(name) for name in self.plans}
        for name, of_set in parts.items():
            if not any(of_set.values()) and self.plans[name].prose_share < 1.0:
                reasons = self.collector.reasons(name)
                raise FaqError(
                    f"set {name} has no sample ({reasons}): check the settings of its source and of the judge"
                )
        if common_seeds:
            shared = shared_seeds(list(chain(*parts[name].values())) for name in default)
            if not shared:
                raise FaqError(
                    "no seed has a sample in every set: set assemble.common_seeds = false to use different seeds"
                )
            parts = {name: {part: only(s, shared) for part, s in of_set.items()} for name, of_set in parts.items()}
        sets: Sets = {}
        for name in in_order(self.plans):
            self.check()
            samples = self._ordered(name, parts[name], sets)
            alone = self.plans[name].prose_share == 1.0  # a set of only prose has no seeds
            sets[name] = self._sized(name, samples, sets) if samples or alone else []
            if not sets[name]:
                raise FaqError(
                    f"set {name} has no seed in common with the other sets: "
                    "set assemble.common_seeds = false, or remove the set"
                )
        return {name: sets[name] for name in self.plans}

    def twins(self, plain: Sets) -> Sets:
        """Cut each set to the number of tokens of the smallest set, and return the cut sets.

        Before the cut, reserve seeds are added to the baseline, because samples of the baseline need no generated
        answers.
        """
        others = min(tokens(samples) for name, samples in plain.items() if name != BASELINE)
        name = f"{BASELINE}{TOKENS_SUFFIX}"
        pools = plain | {BASELINE: self._widened(name, self.plans[BASELINE], plain[BASELINE], others)}
        budget = min(others, self._tokens_with_prose(BASELINE, pools[BASELINE]))
        return {f"{name}{TOKENS_SUFFIX}": self._cut_to(name, pool, budget) for name, pool in pools.items()}

    def _tokens_with_prose(self, name: str, pool: Sequence[Sample]) -> int:
        """The number of tokens of a set: the conversations in `pool`, and the prose that is added to them."""
        blend = self._blend(name)
        if blend is None:
            return tokens(pool)
        of_conversations = tokens(_conversations(pool))
        return of_conversations + blend.beside(of_conversations)

    def _parts(self, name: str) -> dict[str, list[Sample]]:
        self.check()
        plan, m = self.plans[name], self.material
        parts = {}
        for part in plan.conversations(BASELINE):
            if part == BASELINE:
                samples = self.collector.baseline(name, m.chosen, plan)
            else:
                samples = self.collector.source(name, part, m.chosen, m.picks[part], m.candidates, plan)
            parts[part] = list(samples)
        return parts

    def _ordered(self, name: str, parts: Mapping[str, Sequence[Sample]], sets: Sets) -> list[Sample]:
        plan = self.plans[name]
        samples = mix(parts, plan.conversations(BASELINE), [self.material.key, name])
        if plan.select is None or not samples:
            return samples
        return self.order(plan, samples, self._wanted(name, samples, sets))

    def _count(self, name: str, sets: Sets) -> int | None:
        plan = self.plans[name]
        return plan.count if plan.match.samples is None else len(sets[plan.match.samples])

    def _wanted(self, name: str, samples: Sequence[Sample], sets: Sets) -> int | None:
        """The number of `samples` that the set will keep, exact or estimated; None if the set keeps all samples."""
        plan, count = self.plans[name], self._count(name, sets)
        if count is None and plan.match.tokens is not None:
            budget = tokens(sets[plan.match.tokens]) * (1.0 - plan.prose_share)
            count = max(1, round(budget * len(samples) / tokens(samples)))
        return count

    def _sized(self, name: str, samples: list[Sample], sets: Sets) -> list[Sample]:
        plan, match, count = self.plans[name], self.plans[name].match, self._count(name, sets)
        budget = None if match.tokens is None else tokens(sets[match.tokens])
        blend = self._blend(name)
        if blend is not None:
            samples = self._blended(blend, plan, samples, count, budget)
            share = tokens([sample for sample in samples if sample.way == PROSE]) / tokens(samples)
            if abs(share - blend.share) > EQUAL:
                self.warnings.append(
                    f"set {name} has {share:.1%} prose, but {blend.share:.1%} were requested: give a larger count"
                )
        if count is not None:
            if len(samples) < count:
                self.warnings.append(f"set {name} has {len(samples)} samples, but {count} were requested")
            samples = samples[:count]
        if budget is None:
            return samples
        if blend is None:
            if count is not None:
                samples = self._cut_evenly(samples, budget)
            else:
                samples = self._cut(self._widened(name, plan, samples, budget), budget)
        if abs(tokens(samples) - budget) > EQUAL * budget:
            self.warnings.append(
                f"set {name} has {tokens(samples)} tokens, but set {match.tokens} has {budget}, and cutting cannot "
                f"make them equal: match {match.tokens} to {name} instead, or give {name} more seeds"
            )
        return samples

    def _blend(self, name: str) -> Blend | None:
        """The prose of the set; None if the set has no prose."""
        plan, longest = self.plans[name], self.collector.longest(self.plans[name])
        if not plan.prose_share:
            return None
        decode = self.collector.template.decode
        rows = partial(self.material.prose, name, longest)
        return Blend(name, plan.prose_share, longest, rows, decode, plan.prose_file or "")

    def _blended(
        self, blend: Blend, plan: SetPlan, samples: list[Sample], count: int | None, budget: int | None
    ) -> list[Sample]:
        """Mix prose into the conversations. If `count` is given, the set has `count` samples.

        If `budget` is given, the set has `budget` tokens.
        """
        if count is None and budget is None:
            return interleaved(samples, blend.first(blend.beside(tokens(samples))))
        if count is None:
            wide = self._widened(blend.set_name, plan, samples, (budget or 0) - blend.of_budget(budget or 0))
            return self._cut_to(blend.set_name, wide, budget or 0)
        if blend.share == 1.0:
            return blend.even(count, budget)
        if budget is None:
            conversations = samples[: blend.fitting(samples, count)]
            prose = blend.beside(tokens(conversations))
        else:
            conversations = samples[: max(1, count - math.ceil(blend.of_budget(budget) / blend.longest))]
            rest = budget - blend.of_budget(budget)
            conversations = self._cut_evenly(conversations, rest)
            prose = self._prose_for(blend, conversations, budget)
        rows, needed = count - len(conversations), math.ceil(prose / blend.longest)
        if len(conversations) == len(samples) and rows > needed + 1:  # there are too few seeds to fill the set
            rows = needed
        return interleaved(conversations, blend.even(rows, min(prose, rows * blend.longest)) if rows else [])

    def _prose_for(self, blend: Blend, conversations: Sequence[Sample], budget: int) -> int:
        """The number of prose tokens that fill the budget.

        If the conversations are too few for the budget, the prose has its usual share of the smaller set.
        """
        left = budget - tokens(conversations)
        short = left - blend.of_budget(budget) >= MIN_TOKENS
        return blend.beside(tokens(conversations)) if short else max(MIN_TOKENS, left)

    def _cut_to(self, name: str, samples: Sequence[Sample], budget: int) -> list[Sample]:
        """Cut the set to `budget` tokens. If the set has prose, the share of the prose stays the same."""
        blend = self._blend(name)
        if blend is None:
            return self._cut(samples, budget)
        if blend.share == 1.0:
            return blend.first(budget)
        conversations = self._cut(_conversations(samples), budget - blend.of_budget(budget))
        return interleaved(conversations, blend.first(self._prose_for(blend, conversations, budget)))

    def _widened(self, name: str, plan: SetPlan, samples: list[Sample], budget: int) -> list[Sample]:
        """Add samples of reserve seeds until the set reaches the token budget.

        Only a set that consists of the baseline alone gets reserve seeds; every other set stays unchanged.
        """
        if set(plan.conversations(BASELINE)) != {BASELINE}:
            return samples
        out, left = list(samples), budget - tokens(samples)
        if left > 0:
            for sample in self.collector.baseline(name, self.material.reserve(), plan):
                out.append(sample)
                left -= sample.n_tokens
                if left <= 0:
                    break
        return out

    def _cut(self, samples: Sequence[Sample], budget: int) -> list[Sample]:
        return cut_to_tokens(samples, budget, self.collector.template.decode)

    def _cut_evenly(self, samples: Sequence[Sample], budget: int) -> list[Sample]:
        return cut_evenly(samples, budget, self.collector.template.decode, self.collector.keep)


def tokens(samples: Sequence[Sample]) -> int:
    return sum(sample.n_tokens for sample in samples)


def _conversations(samples: Sequence[Sample]) -> list[Sample]:
    """The samples without prose."""
    return [sample for sample in samples if sample.way != PROSE]
