"""Collect the evidence from the database and the settings. Only comparable measurements are used."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.assembly.draws import overlap
from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.shell import command_line
from faq_tui.core.evaluation import environment
from faq_tui.core.evaluation.identity import UNQUANTIZED, conditions_of, subjects, texts, wanted_artefacts
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, LABELLED, PROSE, kind_of
from faq_tui.core.evaluation.metrics import metrics_in, with_flips
from faq_tui.core.evaluation.token_columns import with_token_columns
from faq_tui.core.evidence.categories import by_category
from faq_tui.core.evidence.compare import compare_all
from faq_tui.core.evidence.draws_needed import draws_needed
from faq_tui.core.evidence.model import DrawsNeeded, Evidence, Flips, ModelRow, Text
from faq_tui.core.run.run import Run
from faq_tui.core.stats.bootstrap import Estimate, of_metric
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store import benchmarks, stages
from faq_tui.core.store.artefacts import Artefact
from faq_tui.core.store.measurements import all_items, all_measurements, has_token_entropies, token_values_of

Measured = dict[str, dict[str, Sums]]  # sums by subject and text: Measured[subject][text]


def collect(run: Run) -> Evidence:
    """The evidence measured so far. Raises UsageError if the unquantized target is not measured yet.

    If a run has results of public benchmarks but no held-out texts, its evidence contains only the models.
    """
    measured, tails = _measured(run)
    if not measured.get(UNQUANTIZED):
        benchmarked = None if texts(run) else benchmarks.latest(run.store)
        if benchmarked is not None:
            rows = (
                _target_row(run, {UNQUANTIZED: {}}),
                *(_row(run, a, {a.folder: {}}) for a in wanted_artefacts(run)),
            )
            return Evidence((), rows, (), (), "", "", benchmarked)
        again = f"run `{command_line('run', run.folder)}`"
        if not texts(run):
            raise UsageError(
                "no public benchmark has a result yet, and the settings name no held-out text: read the warnings of "
                f"the stage evaluate, then {again}"
            )
        raise UsageError(f"nothing is measured yet: {again}")
    dtype, device = next(iter(tails.values())).split(".")[1:]
    unquantized = measured[UNQUANTIZED]
    comparisons = compare_all(run, measured)
    kinds = {text: kind_of(text) for text in unquantized}
    # If an older version of faq-tui measured the run, the run's report gets no numbers of draws.
    needed: tuple[DrawsNeeded, ...] = ()
    if has_token_entropies(run.store, UNQUANTIZED):
        needed = draws_needed(comparisons, kinds, overlap(run), _seconds_per_draw(run))
    return Evidence(
        texts=tuple(_text(name, sums) for name, sums in unquantized.items()),
        rows=(
            _target_row(run, measured),
            *(_row(run, a, measured) for a in wanted_artefacts(run) if a.folder in measured),
        ),
        comparisons=comparisons,
        flips=all_flips(run, measured),
        dtype=dtype,
        device=device,
        measured=float(run.store.db.execute("SELECT max(created) FROM measurements").fetchone()[0]),
        draws_needed=needed,
        by_category=by_category(run, measured),
    )


def _seconds_per_draw(run: Run) -> float | None:
    """The time that one draw took: regenerating, judging, quantizing and evaluating.

    Returns None if the time is not known yet.

    If a stage was stopped and continued, only the time since it was continued is counted.
    """
    rows = stages.all_rows(run.store)
    ended = [row for name in ("regenerate", "judge", "evaluate") if (row := rows.get(name)) is not None]
    spans = [row.finished - row.started for row in ended if row.finished is not None]
    spans += [artefact.seconds for artefact in wanted_artefacts(run) if artefact.same_as is None]
    return sum(spans) / run.settings.evaluate.repeats if spans else None


def measured(run: Run) -> Measured:
    """The measurements that `collect` uses. The result maps subject and text to the sums of the text's items.

    The subjects are `unquantized` and the folders under `models/`.
    """
    return _measured(run)[0]


def _measured(run: Run) -> tuple[Measured, dict[str, str]]:
    """The measurements that used the same items, dtype and device as the measurements of the unquantized target.

    Only these measurements are comparable.

    The second result maps each text to "items.dtype.device". This part of the signature is the same for all
    measurements of the text.
    """
    rows = all_measurements(run.store)
    tails = {
        text: conditions_of(rows[UNQUANTIZED, text].signature) for text in texts(run) if (UNQUANTIZED, text) in rows
    }
    measured: Measured = {}
    for subject, identity in subjects(run).items():
        for text, tail in tails.items():
            row = rows.get((subject, text))
            if row is not None and row.signature == f"{identity}.{tail}":
                target = Sums.of(rows[UNQUANTIZED, text].items)
                measured.setdefault(subject, {})[text] = with_flips(kind_of(text), Sums.of(row.items), target)
    for text in tails:
        _add_token_columns(run, text, {subject: of_text for subject, of_text in measured.items() if text in of_text})
    return measured, tails


def _add_token_columns(run: Run, text: str, measured: Measured) -> None:
    """Add the columns of single tokens to the measurements of `text`.

    If an older version measured the unquantized model, nothing is added, so that the report of an old run does not
    change.
    """
    stored = {subject: token_values_of(run.store, subject, text) for subject in measured}
    compared = [subject for subject, (token_kl, _) in stored.items() if token_kl is not None]
    entropy = stored[UNQUANTIZED][1] if UNQUANTIZED in stored else None
    if not compared or entropy is None:
        return
    bodies = all_items(run.store, text) if kind_of(text) == ANSWERS else []
    for subject in (UNQUANTIZED, *compared):
        of_text = measured[subject]
        of_text[text] = with_token_columns(of_text[text], stored[subject][0], entropy, bodies)


def _text(name: str, sums: Sums) -> Text:
    kind, tokens = kind_of(name), sums.columns.get("tokens")
    # `tokens` does not count the first token of a window, because it is not predicted.
    window = int(tokens.max()) + 1 if tokens is not None and kind == PROSE else None
    return Text(name, kind, len(sums), None if tokens is None else int(tokens.sum()), window)


def _target_row(run: Run, measured: Measured) -> ModelRow:
    known = environment.read_environment(run)
    return ModelRow(
        name=UNQUANTIZED,
        recipe=None,
        set_name=None,
        same_as=None,
        samples=None,
        tokens=None,
        bits=known.get("bits"),
        bytes=known.get("weight_bytes"),
        texts=_estimates(run, measured[UNQUANTIZED]),
    )


def _row(run: Run, artefact: Artefact, measured: Measured) -> ModelRow:
    return ModelRow(
        name=artefact.name,
        recipe=artefact.name.removesuffix(f"-{artefact.set_name}"),
        set_name=artefact.set_name,
        same_as=artefact.same_as,
        samples=artefact.samples,
        tokens=artefact.tokens,
        bits=artefact.bits,
        bytes=_weight_bytes(run.models / artefact.folder),
        texts=_estimates(run, measured[artefact.folder]),
    )


def _estimates(run: Run, of_text: dict[str, Sums]) -> dict[str, dict[str, Estimate]]:
    resamples = run.settings.evaluate.bootstrap
    return {
        text: {m.name: of_metric(m, sums, resamples) for m in metrics_in(kind_of(text), sums.columns)}
        for text, sums in of_text.items()
    }


def _weight_bytes(folder: Path) -> int | None:
    return environment.weight_bytes(folder) if folder.is_dir() else None


def all_flips(run: Run, measured: dict[str, dict[str, Sums]]) -> tuple[Flips, ...]:
    """The flips of every artefact on every labelled text.

    The result also has an entry for an artefact without flips.
    """
    return tuple(
        _flips(artefact.name, text, measured[artefact.folder][text], target)
        for text, target in measured[UNQUANTIZED].items()
        if kind_of(text) in LABELLED
        for artefact in wanted_artefacts(run)
        if text in measured.get(artefact.folder, {})
    )


def _flips(model: str, text: str, ours: Sums, target: Sums) -> Flips:
    now, before = ours.columns["correct"] > 0, target.columns["correct"] > 0
    lost = tuple(int(n) for n in (before & ~now).nonzero()[0])
    won = tuple(int(n) for n in (now & ~before).nonzero()[0])
    choices = {}
    if kind_of(text) == CHOICES:
        chosen, earlier = ours.columns["choice"], target.columns["choice"]
        choices = {number: (int(earlier[number]), int(chosen[number])) for number in (*lost, *won)}
    return Flips(model, text, lost, won, choices)
