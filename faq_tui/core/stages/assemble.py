"""The stage `assemble`: build all calibration sets.

The baseline consists of plain seeds. Each source has a set of its picks. Each of these sets also has a copy,
`NAME-tokens`, which is cut so that all copies have the same number of tokens. The section `[sets]` in the settings
defines further sets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from faq_tui.core.assembly import Sample, ids_hash, write_set
from faq_tui.core.assembly.build import Builder, Collector, Material, tokens
from faq_tui.core.assembly.draws import draws, in_words
from faq_tui.core.assembly.order import ordering
from faq_tui.core.assembly.prose import Prose, read_prose, state
from faq_tui.core.assembly.spool import SampleSpool
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.hashing import LongList, digest, sorted_by_digest
from faq_tui.core.base.text import counted
from faq_tui.core.chat.template import Template
from faq_tui.core.chat.token_kinds import write_kinds
from faq_tui.core.judging.identity import current_picks, deciding_picks, judge_id
from faq_tui.core.models.target import find_target, fingerprint
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.regenerating.candidate_requests import layout_state
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note, SetAssembled, StageStarted
from faq_tui.core.run.remembered import remembered
from faq_tui.core.run.run import Run
from faq_tui.core.settings.sets import default_names, draw_name
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.picks import DecidingPick
from faq_tui.core.store.seeds import StoredSeeds
from faq_tui.core.store.sets import SetRow, add_set, all_sets, remove_set
from faq_tui.core.store.stages import StageRow

STAGE = "assemble"
SIGNED_IN_PARTS = "parts:"  # the start of signatures that contain a hash of the seeds
Picks = Callable[[], Iterable[DecidingPick]]
VERSION = 2  # increase this number if new code makes other token ids from the same settings and the same picks


def signature(run: Run) -> str:
    """A hash of the settings, the seeds and the picks.

    The hash stays the same if a person confirms a judge's pick. The hash of the seeds is a part of it, so that a pick
    does not require to read all seeds again.
    """
    settings = run.settings
    inputs = [*_small_inputs(run), layout_state(run), judge_id(run)]
    seed_inputs = [settings.seeds.model_dump(), settings.evaluate.model_dump()]

    def hash_of_seeds() -> str:
        ids, answers = _seed_inputs(run)
        return digest(_draws(run, ids["chosen"]) if settings.evaluate.repeats > 1 else [], answers)

    def compute() -> str:
        seeds = remembered(run, "seeds of assemble", ("seeds",), seed_inputs, hash_of_seeds)
        picks = {name: LongList(partial(deciding_picks, run, name)) for name in settings.sources}
        return SIGNED_IN_PARTS + digest(*inputs, sorted(picks.items()), seeds)

    tables = ("seeds", "candidates", "picks")
    return str(remembered(run, "signature of assemble", tables, [*inputs, *seed_inputs], compute))


def holds(run: Run, row: StageRow) -> bool:
    """True if the stage is up to date, although its signature comes from an earlier version of faq-tui.

    The signatures of earlier versions were one hash of all texts. Those of version 0.1.0 also contained who had
    picked each candidate: the judge or a person. Such a signature is computed again from the present picks. For the
    computation, a person is the picker of a seed if a person had picked for the seed when the stage began.
    """
    if row.signature.startswith(SIGNED_IN_PARTS):
        return False
    decided: dict[str, Picks] = {name: partial(deciding_picks, run, name) for name in run.settings.sources}
    if row.signature == signature_in_one(run, decided):
        return True
    picked: dict[str, Picks] = {}
    for name in run.settings.sources:
        then = current_picks(run, name, until=row.started)
        persons = {seed_id for seed_id, pick in then.items() if pick.picked_by == "person"}
        picked[name] = lambda persons=persons, name=name: (  # type: ignore[misc]
            (pick.seed_id, pick.candidate_id, "person" if pick.seed_id in persons else "judge")
            for pick in current_picks(run, name).values()
        )
    return row.signature == signature_in_one(run, picked)


def signature_in_one(run: Run, picked: Mapping[str, Picks]) -> str:
    """A signature as earlier versions computed it."""
    picks = {name: LongList(found) for name, found in picked.items()}
    ids, answers = _seed_inputs(run)
    version, assemble, *others = _small_inputs(run)
    if run.settings.evaluate.repeats > 1:
        assemble = [*assemble, {"draws": _draws(run, ids["chosen"])}]
    return digest(version, assemble, *others, sorted(picks.items()), answers)


def _seed_inputs(run: Run) -> tuple[dict[str, list[str]], list[LongList]]:
    """The ids of the seeds of each role, and pairs of id and original answer."""
    ids = {role: ranked(run, role) for role in ("chosen", "pool")}
    return ids, [LongList(partial(seed_rows.answers_of, run.store, of_role)) for of_role in ids.values()]


def _small_inputs(run: Run) -> list[Any]:
    """The parts of the signature that do not grow with the number of seeds."""
    plans = {name: plan.model_dump() for name, plan in run.settings.set_plans().items()}
    for name, plan in run.settings.set_plans().items():
        if plan.prose_share:
            plans[name]["prose"] = state(run, plan)
    judge = judge_id(run) if any(plan["select"] == "judge" for plan in plans.values()) else ""
    return [VERSION, [run.settings.assemble.model_dump()], sorted(plans.items()), judge, fingerprint(run)]


def execute(context: Context) -> str:
    with closing(SampleSpool(context.run.cache)) as spool:
        return _assemble(context, spool)


def _assemble(context: Context, spool: SampleSpool) -> str:
    run, settings = context.run, context.run.settings
    names = settings.all_set_names()
    context.emit(StageStarted(STAGE, len(names), "sets"))
    target = find_target(run, lambda text: context.emit(Note(text)))
    template = Template(load_tokenizer(target))
    chosen = ranked(run, "chosen")
    order = ordering(context, target, StoredSeeds(run.store, chosen))
    default, drawn = default_names(settings.sources), _draws(run, chosen)
    made: dict[str, str] = {}
    if len(drawn) > 1:
        context.emit(Note(in_words(drawn)))
    for number, seeds in enumerate(drawn, 1):
        collector = Collector(template, settings.assemble, spool.keep)
        material = replace(_material(run, seeds, number), prose=_prose(run, template, (number - 1) / len(drawn)))
        builder = Builder(collector, material, settings.set_plans(), order, context.cancel.check)
        which = f"draw {number} of {len(drawn)}: " if len(drawn) > 1 else ""  # the builder does not know its draw
        try:
            built = builder.plain(default, settings.assemble.common_seeds)
            if settings.sources:
                built |= builder.twins({name: built[name] for name in default})
        except FaqError as error:
            error.args = (f"{which}{error}",)
            raise
        for name in settings.set_names():
            _store(context, collector, name, built[name], draw_name(name, number))
            made[draw_name(name, number)] = (
                f"{counted(len(built[name]), 'sample')}, {counted(tokens(built[name]), 'token')}"
            )
        for text in builder.warnings:
            context.emit(Note(f"{which}{text}", "warning"))
    for name in all_sets(run.store).keys() - set(names):  # delete the sets that are no longer in the settings
        for folder in (run.calibration, run.token_kinds):
            (folder / f"{name}.jsonl").unlink(missing_ok=True)
        remove_set(run.store, name)
    return "; ".join(f"{name}: {made[name]}" for name in names)


def intact(run: Run) -> bool:
    """True if every set's file exists. A file may be missing because a person deleted it. The files with token kinds
    are optional.
    """
    return all((run.calibration / f"{name}.jsonl").is_file() for name in run.settings.all_set_names())


def draws_of(run: Run) -> list[list[str]]:
    """The ids of the chosen seeds of each draw of the calibration sets."""
    return _draws(run, ranked(run, "chosen"))


def _draws(run: Run, chosen: Sequence[str]) -> list[list[str]]:
    evaluate, seeds = run.settings.evaluate, run.settings.seeds
    return draws(chosen, seeds.count, evaluate.repeats, evaluate.repeat_share, seeds.sample_seed)


def ranked(run: Run, role: str) -> list[str]:
    """The ids of the seeds with the role `role` in random order. For every n, the first n are a random sample.

    The order depends only on `seeds.sample_seed`.
    """
    return sorted_by_digest(run.settings.seeds.sample_seed, seed_rows.ids_by_role(run.store, role))


def _material(run: Run, chosen: Sequence[str], draw: int) -> Material:
    """The seeds, picks and candidates for one draw of the sets.

    The order of the reserve seeds differs between draws.
    """
    key = run.settings.seeds.sample_seed if draw == 1 else (run.settings.seeds.sample_seed, draw)
    picks = {name: current_picks(run, name) for name in run.settings.sources}
    return Material(
        chosen=StoredSeeds(run.store, chosen),
        reserve=lambda: StoredSeeds(run.store, sorted_by_digest(key, ranked(run, "pool"))),
        picks=picks,
        candidates=partial(candidate_rows.get, run.store),
        key=key,
    )


def _prose(run: Run, template: Template, begin: float) -> Callable[[str, int], Iterator[Sample]]:
    """A function that makes calibration rows from the prose file of a set.

    `begin` (0 to 1) is the share of the text that lies before the first piece of the rows.
    """

    def rows(set_name: str, longest: int) -> Iterator[Sample]:
        text = read_prose(run, set_name)
        return Prose(text, template, run.settings.seeds.sample_seed, begin).rows(longest)

    return rows


def _store(context: Context, collector: Collector, name: str, samples: Sequence[Sample], drawn: str) -> None:
    """Write the set's files and its row in the database. `drawn` is the set's name with the number of the draw."""
    run, refused = context.run, dict(collector.refused[name])
    row = SetRow(
        name=drawn,
        ids_hash=ids_hash(samples),
        samples=len(samples),
        tokens=tokens(samples),
        tokens_full=sum(sample.n_tokens_full for sample in samples),
        by_person=sum(sample.picked_by == "person" for sample in samples),
        refused=refused,
        answered=sum(sample.answered for sample in samples),
        whole_answers=sum(sample.holds_answer for sample in samples),
        ways=dict(Counter(sample.way for sample in samples)),
    )
    write_set(run.calibration / f"{drawn}.jsonl", samples)
    write_kinds(run.token_kinds / f"{drawn}.jsonl", (sample.kinds for sample in samples), row.ids_hash)
    add_set(run.store, row)
    context.emit(SetAssembled(drawn, row.samples, row.tokens, sum(refused.values())))
    if refused:
        context.emit(Note(f"set {drawn}: {collector.reasons(name)}", "warning"))
    if row.answered > row.whole_answers:
        lost = row.answered - row.whole_answers
        context.emit(Note(f"set {drawn}: {lost} of {row.answered} samples contain only a part of the answer"))
