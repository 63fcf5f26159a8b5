"""Build every calibration set: the seeds as they are, each source's picks, and their twins at equal tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from faq_tui.core.assembly import (
    RefusedError,
    Rendered,
    Sample,
    fit,
    ids_hash,
    render_answered,
    render_seed,
    write_set,
)
from faq_tui.core.assembly.matching import cut_to_tokens
from faq_tui.core.assembly.sample import MIN_TOKENS
from faq_tui.core.assembly.template import Template
from faq_tui.core.errors import FaqError
from faq_tui.core.events import Note, SetAssembled, StageStarted
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.pipeline import Context
from faq_tui.core.run import Run
from faq_tui.core.settings.schema import BASELINE, TOKENS_SUFFIX
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import picks as pick_rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.hashing import digest
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.sets import SetRow, add_set
from faq_tui.core.target import find_target, fingerprint, load_tokenizer

STAGE = "assemble"


def signature(run: Run) -> str:
    judge = judge_id(run)
    picks = {
        name: [[p.seed_id, p.candidate_id] for p in pick_rows.current(run.store, name, judge).values()]
        for name in run.settings.sources
    }
    seeds = [[seed.id for seed in ranked(run, role)] for role in ("chosen", "pool")]
    return digest(run.settings.assemble.model_dump(), fingerprint(run), sorted(picks.items()), seeds)


def execute(context: Context) -> str:
    run = context.run
    names = run.settings.set_names()
    context.emit(StageStarted(STAGE, len(names), "sets"))
    target = find_target(run, lambda text: context.emit(Note(text)))
    builder = _Builder(context, Template(load_tokenizer(target)))
    chosen = ranked(run, "chosen")
    sets = {BASELINE: builder.baseline(BASELINE, chosen)}
    for name in run.settings.sources:
        sets[name] = builder.source(name, {seed.id: seed for seed in chosen})
    if run.settings.assemble.common_seeds:
        sets = _common(sets)
    for name, samples in sets.items():
        if not samples:
            raise FaqError(
                f"set {name} has no sample ({builder.reasons(name)}): see the judge's and the sources' settings"
            )
    if run.settings.sources:
        # Plain seeds cost nothing: the reserve makes up for the tokens that answers bring.
        wide = [*sets[BASELINE], *builder.baseline(f"{BASELINE}{TOKENS_SUFFIX}", ranked(run, "pool"))]
        budget = min(
            sum(s.n_tokens for s in samples) for samples in [wide, *(sets[n] for n in run.settings.sources)]
        )
        for name, samples in list(sets.items()):
            pool = wide if name == BASELINE else samples
            sets[f"{name}{TOKENS_SUFFIX}"] = cut_to_tokens(pool, budget, builder.template.decode)
    for name in names:
        builder.store(name, sets[name])
    return "; ".join(
        f"{name}: {len(sets[name])} samples, {sum(s.n_tokens for s in sets[name])} tokens" for name in names
    )


def _common(sets: dict[str, list[Sample]]) -> dict[str, list[Sample]]:
    """The sets without the seeds that one of them lacks."""
    shared = set.intersection(*({sample.seed_id for sample in samples} for samples in sets.values()))
    return {name: [s for s in samples if s.seed_id in shared] for name, samples in sets.items()}


def ranked(run: Run, role: str) -> list[Seed]:
    """Seeds of a role in the seeded order of the draw: the head of a set is as mixed as the whole."""
    key = run.settings.seeds.sample_seed
    return sorted(seed_rows.by_role(run.store, role), key=lambda seed: digest(key, seed.id))


class _Builder:
    def __init__(self, context: Context, template: Template) -> None:
        self.context = context
        self.template = template
        self.settings = context.run.settings.assemble
        self.refused: dict[str, Counter[str]] = {}

    def baseline(self, set_name: str, seeds: Sequence[Seed]) -> list[Sample]:
        found = (
            self._sample(
                set_name,
                seed.id,
                None,
                BASELINE,
                None,
                lambda s=seed: render_seed(self.template, s.messages, s.answer),
            )
            for seed in seeds
        )
        return [sample for sample in found if sample]

    def source(self, name: str, seeds: dict[str, Seed]) -> list[Sample]:
        store = self.context.run.store
        picks = pick_rows.current(store, name, judge_id(self.context.run))
        candidates = candidate_rows.by_ids(store, (p.candidate_id for p in picks.values() if p.candidate_id))
        out = []
        for seed_id, seed in seeds.items():
            pick = picks.get(seed_id)
            candidate = candidates.get(pick.candidate_id or 0) if pick else None
            if pick is None or candidate is None:
                self._refuse(
                    name, "no candidate was fit" if pick is None or pick.picked_by == "judge" else "rejected"
                )
                continue
            sample = self._sample(
                *(name, seed_id, candidate.id, name, pick.picked_by),
                lambda s=seed, c=candidate: render_answered(self.template, s.messages, c.reasoning, c.answer),
            )
            if sample:
                out.append(sample)
        return out

    def _sample(
        self,
        set_name: str,
        seed_id: str,
        candidate_id: int | None,
        source: str,
        by: str | None,
        render: Callable[[], Rendered],
    ) -> Sample | None:
        self.context.cancel.check()
        try:
            rendered = render()
            ids = fit(rendered, self.settings.max_tokens, self.settings.overflow)
            if len(ids) < MIN_TOKENS:
                raise RefusedError(f"shorter than {MIN_TOKENS} tokens")
        except RefusedError as refusal:
            self._refuse(set_name, str(refusal))
            return None
        return Sample(
            seed_id, candidate_id, source, self.template.decode(ids), ids, len(ids), len(rendered.ids), by
        )

    def _refuse(self, set_name: str, reason: str) -> None:
        self.refused.setdefault(set_name, Counter())[reason] += 1

    def reasons(self, set_name: str) -> str:
        return (
            ", ".join(f"{count} {reason}" for reason, count in self.refused.get(set_name, {}).items())
            or "no seeds"
        )

    def store(self, name: str, samples: Sequence[Sample]) -> None:
        run, refused = self.context.run, dict(self.refused.get(name, {}))
        write_set(run.calibration / f"{name}.jsonl", samples)
        tokens, full = sum(s.n_tokens for s in samples), sum(s.n_tokens_full for s in samples)
        by_person = sum(s.picked_by == "person" for s in samples)
        add_set(run.store, SetRow(name, ids_hash(samples), len(samples), tokens, full, by_person, refused))
        self.context.emit(SetAssembled(name, len(samples), tokens, sum(refused.values())))
        if refused:
            self.context.emit(Note(f"set {name}: {self.reasons(name)}", "warning"))
