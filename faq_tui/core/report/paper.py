"""The section with the paper's tables. The section shows the rows for the run's model and methods."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from faq_tui.core.paper.tables import UNQUANTIZED, Cell, of_recipes, select
from faq_tui.core.report.family_notices import target_name
from faq_tui.core.report.formatting import MISSING, escape
from faq_tui.core.report.tables import table
from faq_tui.core.run.run import Run

ARXIV = "arXiv 2601.11200"


def paper(run: Run) -> dict[str, Any]:
    """The paper's values for the run's model.

    `known` is true if the paper has the model. `cells` holds the paper's values for the unquantized model, and for
    the methods and bit widths of the run.
    """
    model = target_name(run.settings)
    recipes = [(recipe.method, recipe.bits) for recipe in run.settings.recipes]
    return {"known": bool(select(model=model)), "cells": [asdict(cell) for cell in of_recipes(model, recipes)]}


def paper_lines(body: dict[str, Any]) -> list[str]:
    """The section as lines of Markdown: the paper's tables, or one sentence if no table fits this run."""
    paper_cells = [Cell(**cell) for cell in body["paper"]["cells"]]
    if not [cell for cell in paper_cells if cell.bits != UNQUANTIZED]:
        what = "the methods and bit widths of this run" if body["paper"]["known"] else "this model"
        return ["## The paper's figures", "", f"The FAQ paper ({ARXIV}) has no results for {what}.", ""]
    lines = ["## The paper's figures", ""]
    for number in dict.fromkeys(cell.table for cell in paper_cells):
        lines += [
            f"Table {number} of the FAQ paper ({ARXIV}):",
            "",
            *_table([c for c in paper_cells if c.table == number]),
            "",
        ]
    return [
        *lines,
        "- The figures are copied from the paper. Perplexities are lm_eval's word perplexities; all other figures "
        "are accuracies in percent. The paper gives no intervals and does not publish its seeds, prompts, sampling "
        "or sequence length. Therefore compare the directions of differences, not their sizes.",
        "",
    ]


def _table(cells: list[Cell]) -> list[str]:
    metrics = list(dict.fromkeys(cell.metric for cell in cells))
    keys = list(dict.fromkeys((cell.bits, cell.method, cell.calibration) for cell in cells))
    values = {((c.bits, c.method, c.calibration), c.metric): c.value for c in cells}
    rows = [
        [escape(method), bits, escape(calibration)]
        + [f"{values[key, metric]:.2f}" if (key, metric) in values else MISSING for metric in metrics]
        for key in keys
        for bits, method, calibration in [key]
    ]
    return table(["Method", "Bits", "Calibration", *(escape(metric) for metric in metrics)], rows, left=3)
