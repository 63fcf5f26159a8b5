"""Fill the cells of the paper's table with the values that a run measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from faq_tui.core.benchmarking.plan import current_results
from faq_tui.core.evaluation.identity import UNQUANTIZED, wanted_artefacts
from faq_tui.core.paper.columns import MEANS, SOURCES
from faq_tui.core.paper.experiments import BITS, METHODS, all_experiments
from faq_tui.core.paper.tables import UNQUANTIZED as PAPER_UNQUANTIZED
from faq_tui.core.paper.tables import Cell
from faq_tui.core.run.run import Run
from faq_tui.core.store.benchmarks import Result


def paper_cells(run: Run) -> dict[str, Any] | None:
    """The cells of the paper's table for the run's preset.

    In a cell, `paper` is the paper's value. `ours` is the value that this run measured, or None. `filled` is the
    number of cells for which this run has a value. Returns None if the run has no preset, or if the preset's model is
    not in the preset's table.
    """
    preset = run.settings.preset
    experiment = next(
        (e for e in all_experiments() if preset is not None and (e.name, e.model) == (preset.name, preset.model)),
        None,
    )
    if experiment is None:
        return None
    results = _by_subject(run)
    cells = [_cell(cell, run, results) for cell in experiment.cells()]
    return {
        "preset": experiment.name,
        "model": experiment.model,
        "filled": sum(cell["ours"] is not None for cell in cells),
        "cells": cells,
    }


def _by_subject(run: Run) -> dict[str, list[Result]]:
    by_subject: dict[str, list[Result]] = {}
    for result in current_results(run):
        by_subject.setdefault(result.subject, []).append(result)
    return by_subject


def _cell(cell: Cell, run: Run, results: dict[str, list[Result]]) -> dict[str, Any]:
    subject = _subject(cell, run)
    return {
        "bits": cell.bits,
        "method": cell.method,
        "calibration": cell.calibration,
        "metric": cell.metric,
        "paper": cell.value,
        "artefact": subject,
        "ours": None if subject is None else _value(cell.metric, results.get(subject, [])),
    }


def _subject(cell: Cell, run: Run) -> str | None:
    """The model that the cell is about: the folder of an artefact, or `unquantized`.

    Returns None if the run has no such artefact.
    """
    if cell.bits == PAPER_UNQUANTIZED:
        return UNQUANTIZED
    made = {artefact.name: artefact.folder for artefact in wanted_artefacts(run)}
    for recipe in run.settings.recipes:
        if (recipe.method, recipe.bits) == (METHODS[cell.method], BITS[cell.bits]):
            folder = made.get(recipe.folder(cell.calibration))
            if folder is not None:
                return folder
    return None


def _value(metric: str, results: Sequence[Result]) -> float | None:
    """The value of a column.

    A column can be a mean of other columns. If the value of one of these columns is unknown, the result is None.
    """
    values = [SOURCES[part].value(results) for part in MEANS.get(metric, (metric,))]
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
