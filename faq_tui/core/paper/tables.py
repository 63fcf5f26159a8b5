"""Read tables 1 to 11 of the FAQ paper (arXiv 2601.11200). The file `data/paper_tables.csv` has one value per row.

Metrics named `*_ppl` are word perplexities of lm_eval (lower is better). All other metrics are accuracies in percent.
Two misprints of the paper are corrected. In table 1, the labels of the bits are wrong, so the labels of section 5.2.1
are used. In table 7, some rows do not name their calibration data. This file counts these rows as calibrated on the
teacher's data, as in table 4.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

UNQUANTIZED = "BF16"  # the value of `bits` for an unquantized model
AVERAGE = "AVG"  # the value of `bits` in a row with the paper's average over its quantized models


@dataclass(frozen=True)
class Cell:
    """One value that the paper prints."""

    table: int
    model: str  # name of the target
    bits: str  # "BF16", "INT8", "INT4", "w8a8" or "AVG"
    method: str  # "GPTQ", "AWQ", "SPQR", "GPTAQ", "w8a8-int8", "average of quantized" or "-"
    calibration: str  # "baseline", "self", "elder", "teacher" or "none"
    metric: str
    value: float

    @property
    def higher_is_better(self) -> bool:
        return not self.metric.endswith("_ppl")


@lru_cache(maxsize=1)
def cells() -> tuple[Cell, ...]:
    """All values, in the paper's order."""
    text = (files("faq_tui.core") / "data" / "paper_tables.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(
        Cell(
            int(row["table"]),
            row["model"],
            row["bits"],
            row["method"],
            row["calibration"],
            row["metric"],
            float(row["value"]),
        )
        for row in rows
    )


def select(
    table: int | None = None,
    model: str | None = None,
    bits: str | None = None,
    method: str | None = None,
    calibration: str | None = None,
    metric: str | None = None,
) -> list[Cell]:
    """The values that match all given arguments. Models and methods are compared by `same_name`."""
    return [
        cell
        for cell in cells()
        if (table is None or cell.table == table)
        and (model is None or same_name(cell.model, model))
        and (bits is None or cell.bits == bits)
        and (method is None or same_name(cell.method, method))
        and (calibration is None or cell.calibration == calibration)
        and (metric is None or cell.metric == metric)
    ]


def same_name(one: str, other: str) -> bool:
    """True if two names mean the same model or method. A name may be a hub id or a folder; hyphens do not matter."""
    return _bare(one) == _bare(other)


def of_recipes(model: str, recipes: Iterable[tuple[str, int]]) -> list[Cell]:
    """The paper's values for the unquantized model and for its quantized forms.

    `recipes` holds (method, bits) of each form.
    """
    ours = {("w8a8-int8", "w8a8") if method == "w8a8" else (method, f"INT{bits}") for method, bits in recipes}
    return [
        cell
        for cell in select(model=model)
        if cell.bits == UNQUANTIZED or any(same_name(cell.method, m) and cell.bits == b for m, b in ours)
    ]


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rstrip("/").rpartition("/")[2].casefold())
