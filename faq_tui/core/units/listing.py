"""List all units of a run with their states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from faq_tui.core.base.hashing import digest
from faq_tui.core.benchmarking import plan as benchmarks
from faq_tui.core.evaluation.identity import UNQUANTIZED, subjects, texts
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.regenerating.candidate_requests import pending_candidates, source_hash_of
from faq_tui.core.report.outdated import figure_conditions
from faq_tui.core.run.run import Run
from faq_tui.core.run.unit_locks import holders
from faq_tui.core.settings import Source
from faq_tui.core.settings.sets import draw_name
from faq_tui.core.stages import activations, quantize
from faq_tui.core.stages.assemble import draws_of
from faq_tui.core.stages.pipeline import all_stages, is_current
from faq_tui.core.store import artefacts as artefact_rows
from faq_tui.core.store import benchmarks as benchmark_rows
from faq_tui.core.store import measurements
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store import units as unit_rows
from faq_tui.core.store.activations import all_activations
from faq_tui.core.store.sets import all_sets
from faq_tui.core.units.needs import Estimates
from faq_tui.core.units.unit import ACTIVATIONS, BENCHMARKS, EVALUATE, GENERATE, QUANTIZE, Unit

ASSEMBLE = "assemble"


def units_of(run: Run, mine: str | None = None) -> list[Unit]:
    """All units of the run, in an order in which they can be done.

    `mine` names a unit that this process works on. Its state is the state that it had otherwise.
    """
    return list(_Listing(run, mine).all())


def draw_of(run: Run, subject: str) -> tuple[str, list[str]]:
    """The source and the ids of the seeds of the unit `generate/SUBJECT`."""
    return next((name, seeds) for draw, name, seeds in _draws(run) if draw == subject)


def local_sources(run: Run) -> dict[str, Source]:
    return {name: source for name, source in run.settings.sources.items() if source.is_local}


def _draws(run: Run) -> Iterator[tuple[str, str, list[str]]]:
    """(unit's subject, source, ids of its seeds).

    A seed that several draws share belongs to the first of them, and so does a seed that no draw has.
    """
    if not local_sources(run):
        return
    draws = draws_of(run)
    left = set(seed_rows.ids_by_role(run.store, "chosen")).difference(*draws)
    draws[0] += sorted(left)
    drawn: set[str] = set()
    for number, seeds in enumerate(draws, 1):
        own = [seed for seed in seeds if seed not in drawn]
        drawn.update(own)
        for name in local_sources(run):
            if own:
                yield draw_name(name, number), name, own


class _Listing:
    def __init__(self, run: Run, mine: str | None) -> None:
        self.run, self.mine = run, mine
        self.rows = unit_rows.all_units(run.store)
        self.held = holders(run.folder)
        self.sets = all_sets(run.store)
        self.made = artefact_rows.all_artefacts(run.store)
        self.current = {stage.name: is_current(run, stage) for stage in all_stages() if stage.name != "report"}
        self.needs = Estimates(run)

    def all(self) -> Iterator[Unit]:
        yield from self._generate()
        yield from self._activations()
        yield from self.artefacts.values()
        models = list(self._models())
        yield from (self._evaluation(subject, folder) for subject, folder in models)
        if self.run.settings.evaluate.lm_eval.tasks or self.run.settings.evaluate.evalscope.tasks:
            yield from (self._benchmarks(subject, folder) for subject, folder in models)

    def _generate(self) -> Iterator[Unit]:
        pending = {
            name: {one.seed.id for one in pending_candidates(self.run, source)}
            for name, source in local_sources(self.run).items()
        }
        for subject, name, seeds in _draws(self.run):
            source = self.run.settings.sources[name]
            inputs = digest(GENERATE, source_hash_of(source), source.candidates, seeds)
            done = not pending[name] & set(seeds)
            needs = self.needs.generate(name, seeds)
            yield self._unit(Unit(GENERATE, subject, "ready", inputs, self._stages("seeds"), needs), done)

    def _activations(self) -> Iterator[Unit]:
        if not self.run.settings.activations.enabled:
            return
        signatures, rows = activations.signatures(self.run), all_activations(self.run.store)
        todo = activations.missing(self.run, signatures)
        for name in self.run.settings.set_names():
            inputs = signatures.get(name, "")
            done = bool(inputs) and (name not in todo or self.current["activations"])
            unit = Unit(ACTIVATIONS, name, "ready", inputs, self._stages(ASSEMBLE), self.needs.forward())
            # a target without the measured modules has no row of activations
            done = done or self._was_done(unit)
            yield self._unit(unit, done, stale=name in rows)

    @cached_property
    def artefacts(self) -> Mapping[str, Unit]:
        """The units of the artefacts, by the artefact's name."""
        whole = quantize.finished(self.run, self.signatures)
        failures = artefact_rows.all_failures(self.run.store)
        found = {}
        for recipe, set_name in quantize.jobs(self.run):
            name = recipe.folder(set_name)
            inputs = self.signatures.get(name, "")
            tried, why = failures.get(name, ("", ""))
            needs = self.needs.quantize(recipe, self.sets.get(set_name))
            unit = Unit(QUANTIZE, name, "ready", inputs, self._stages(ASSEMBLE), needs)
            row = self.made.get(name)
            stale = row is not None and is_whole(self.run.models / row.folder)
            found[name] = self._unit(unit, name in whole, stale, why if tried == inputs else "")
        return found

    @cached_property
    def signatures(self) -> dict[str, str]:
        """Maps each artefact whose set exists to its signature."""
        return {
            recipe.folder(name): quantize.artefact_signature(self.run, recipe, self.sets[name])
            for recipe, name in quantize.jobs(self.run)
            if name in self.sets
        }

    def _models(self) -> Iterator[tuple[str, str]]:
        """(unit's subject, subject of the measurements). Artefacts with equal weights are one model."""
        yield UNQUANTIZED, UNQUANTIZED
        seen: set[str] = set()
        for name, unit in self.artefacts.items():
            weights = unit.inputs or name
            if weights not in seen:
                seen.add(weights)
                yield name, self.made[name].folder if unit.state == "done" else name

    @cached_property
    def _conditions(self) -> str:
        return digest(*figure_conditions(self.run))

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return subjects(self.run)

    def _evaluation(self, subject: str, folder: str) -> Unit:
        waits = self._waits(subject, EVALUATE)
        inputs = "" if waits else digest(EVALUATE, self._conditions, self._hashes[folder])
        unit = Unit(EVALUATE, subject, "ready", inputs, waits, self.needs.forward(), folder=folder)
        done = bool(inputs) and (self.current["evaluate"] or (self._was_done(unit) and self._measured(folder)))
        if subject == UNQUANTIZED:
            self._target_done = done
        return self._unit(unit, done)

    def _measured(self, folder: str) -> bool:
        """True if the model is measured on all texts on which the unquantized target is measured."""
        asked = set(texts(self.run))
        wanted = asked & measurements.signatures_of(self.run.store, UNQUANTIZED).keys()
        found = measurements.signatures_of(self.run.store, folder)
        return all(found.get(text, "").startswith(f"{self._hashes[folder]}.") for text in wanted)

    @cached_property
    def _benchmark_requests(self) -> tuple[dict[str, list[str]], set[str], dict[str, str]]:
        """For each model, the signatures of its requests; the models with missing results; the problems."""
        requests: dict[str, list[str]] = {}
        for request in benchmarks.wanted(self.run):
            requests.setdefault(request.subject, []).append(request.signature)
        problems = {key[0]: why for key, why in benchmark_rows.all_problems(self.run.store).items()}
        return requests, {request.subject for request in benchmarks.missing(self.run)}, problems

    def _benchmarks(self, subject: str, folder: str) -> Unit:
        waits = self._waits(subject, BENCHMARKS)
        requests, missing, problems = self._benchmark_requests
        inputs = "" if waits else digest(BENCHMARKS, requests.get(folder, []))
        unit = Unit(BENCHMARKS, subject, "ready", inputs, waits, self.needs.forward(), folder=folder)
        done = bool(inputs) and folder not in missing
        return self._unit(unit, done, failure=problems.get(folder, ""))

    def _waits(self, subject: str, kind: str) -> tuple[str, ...]:
        waits = self._stages(ASSEMBLE)
        if subject != UNQUANTIZED:
            artefact = self.artefacts[subject]
            waits += (artefact.name,) if artefact.state != "done" else ()
            waits += (f"{EVALUATE}/{UNQUANTIZED}",) if kind == EVALUATE and not self._target_done else ()
        return waits

    def _stages(self, last: str) -> tuple[str, ...]:
        """The first stage up to `last` that is not up to date; nothing if all are."""
        names = list(self.current)
        return tuple(name for name in names[: names.index(last) + 1] if not self.current[name])[:1]

    def _was_done(self, unit: Unit) -> bool:
        row = self.rows.get(unit.name)
        return row is not None and row.state == "done" and row.inputs == unit.inputs

    def _unit(self, unit: Unit, done: bool, stale: bool = False, failure: str = "") -> Unit:
        """The unit with its state."""
        row = self.rows.get(unit.name)
        if unit.name in self.held and unit.name != self.mine:
            return replace(unit, state="running", message=self.held[unit.name].in_words().partition(" ")[2])
        if unit.waits_for:
            return replace(unit, state="waiting")
        if done:
            return replace(unit, state="done", message=row.message if row and row.inputs == unit.inputs else "")
        if row is not None and row.inputs == unit.inputs and row.state == "failed":
            failure = failure or row.message
        if failure:
            return replace(unit, state="failed", message=failure)
        changed = stale or (row is not None and row.state == "done" and row.inputs != unit.inputs)
        return replace(unit, state="stale" if changed else "ready")
