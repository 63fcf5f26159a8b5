"""Build every calibration set: seeds as they are, each source's picks, and their twins at equal tokens."""

from __future__ import annotations

from collections.abc import Sequence

from faq_tui.core.assembly import Sample, ids_hash, write_set
from faq_tui.core.assembly.collect import Collector, in_common
from faq_tui.core.assembly.matching import cut_to_tokens
from faq_tui.core.assembly.template import Template
from faq_tui.core.errors import FaqError
from faq_tui.core.events import Note, SetAssembled, StageStarted
from faq_tui.core.judging.current import current_picks
from faq_tui.core.run import Run
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.stage import Context
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.hashing import digest
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.sets import SetRow, add_set, all_sets, remove_set
from faq_tui.core.target import find_target, fingerprint, load_tokenizer

STAGE = "assemble"


def signature(run: Run) -> str:
    picks = {
        name: [[p.seed_id, p.candidate_id, p.picked_by] for p in current_picks(run, name).values()]
        for name in run.settings.sources
    }
    seeds = [[[seed.id, seed.answer] for seed in ranked(run, role)] for role in ("chosen", "pool")]
    return digest(run.settings.assemble.model_dump(), fingerprint(run), sorted(picks.items()), seeds)


def execute(context: Context) -> str:
    run = context.run
    names = run.settings.set_names()
    context.emit(StageStarted(STAGE, len(names), "sets"))
    target = find_target(run, lambda text: context.emit(Note(text)))
    collector = Collector(Template(load_tokenizer(target)), run.settings.assemble)
    sets = _plain_sets(context, collector)
    if run.settings.sources:
        sets |= _token_twins(run, collector, sets)
    for name in names:
        _store(context, collector, name, sets[name])
    for name in all_sets(run.store).keys() - set(names):  # of a source that the settings no longer name
        (run.calibration / f"{name}.jsonl").unlink(missing_ok=True)
        remove_set(run.store, name)
    return "; ".join(f"{name}: {len(sets[name])} samples, {_tokens(sets[name])} tokens" for name in names)


def intact(run: Run) -> bool:
    """The files are there, whoever may have deleted one."""
    return all((run.calibration / f"{name}.jsonl").is_file() for name in run.settings.set_names())


def ranked(run: Run, role: str) -> list[Seed]:
    """Seeds of a role in the seeded order of the draw: the head of a set is as mixed as the whole."""
    key = run.settings.seeds.sample_seed
    return sorted(seed_rows.by_role(run.store, role), key=lambda seed: digest(key, seed.id))


def _plain_sets(context: Context, collector: Collector) -> dict[str, list[Sample]]:
    run = context.run
    chosen = ranked(run, "chosen")
    sets = {BASELINE: collector.baseline(BASELINE, chosen)}
    for name in run.settings.sources:
        context.cancel.check()
        picks = current_picks(run, name)
        wanted = (pick.candidate_id for pick in picks.values() if pick.candidate_id)
        sets[name] = collector.source(name, chosen, picks, candidate_rows.by_ids(run.store, wanted))
    for name, samples in sets.items():
        if not samples:
            reasons = collector.reasons(name)
            raise FaqError(f"set {name} has no sample ({reasons}): see the settings of its source and of the judge")
    if run.settings.assemble.common_seeds:
        sets = in_common(sets)
        if not sets[BASELINE]:
            raise FaqError(
                "no seed has a sample in every set: set assemble.common_seeds = false to keep each set's own"
            )
    return sets


def _token_twins(run: Run, collector: Collector, plain: dict[str, list[Sample]]) -> dict[str, list[Sample]]:
    """Each set cut to as many tokens as the smallest has.

    Plain seeds cost nothing, so the reserve first widens the baseline to make up for the tokens of answers.
    """
    pools = dict(plain)
    pools[BASELINE] = plain[BASELINE] + collector.baseline(f"{BASELINE}{TOKENS_SUFFIX}", ranked(run, "pool"))
    budget = min(_tokens(samples) for samples in pools.values())
    decode = collector.template.decode
    return {f"{name}{TOKENS_SUFFIX}": cut_to_tokens(pool, budget, decode) for name, pool in pools.items()}


def _store(context: Context, collector: Collector, name: str, samples: Sequence[Sample]) -> None:
    run, refused = context.run, dict(collector.refused[name])
    write_set(run.calibration / f"{name}.jsonl", samples)
    row = SetRow(
        name=name,
        ids_hash=ids_hash(samples),
        samples=len(samples),
        tokens=_tokens(samples),
        tokens_full=sum(sample.n_tokens_full for sample in samples),
        by_person=sum(sample.picked_by == "person" for sample in samples),
        refused=refused,
    )
    add_set(run.store, row)
    context.emit(SetAssembled(name, row.samples, row.tokens, sum(refused.values())))
    if refused:
        context.emit(Note(f"set {name}: {collector.reasons(name)}", "warning"))


def _tokens(samples: Sequence[Sample]) -> int:
    return sum(sample.n_tokens for sample in samples)
