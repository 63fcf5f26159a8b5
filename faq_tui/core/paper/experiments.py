"""List the experiments in the paper's tables.

An experiment has one target, several recipes and several calibration sets.
"""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.base.errors import UsageError
from faq_tui.core.paper.columns import AVERAGE as AVERAGE_COLUMN
from faq_tui.core.paper.columns import GENERAL, MEANS, SPECIAL
from faq_tui.core.paper.tables import AVERAGE, UNQUANTIZED, Cell, cells, same_name, select

PREFIX = "paper/table"
METHODS = {"GPTQ": "gptq", "GPTAQ": "gptaq", "AWQ": "awq", "SPQR": "spqr", "w8a8-int8": "w8a8"}
BITS = {"INT4": 4, "INT8": 8, "w8a8": 8}
HUB_IDS = {
    "Qwen3-8B": "Qwen/Qwen3-8B",
    "DeepSeek-R1-0528-Qwen3-8B": "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
    "Qwen3-30B-A3B": "Qwen/Qwen3-30B-A3B",
    "Llama3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "DeepSeek-R1": "deepseek-ai/DeepSeek-R1",
}


@dataclass(frozen=True)
class Experiment:
    """The part of a table for one target."""

    table: int
    model: str  # the target's name as the paper writes it

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.table}"

    @property
    def hub_id(self) -> str:
        return HUB_IDS[self.model]

    def cells(self) -> list[Cell]:
        """The values that the paper measured in the experiment. Averages over rows or columns are left out."""
        own = [cell for cell in cells() if (cell.table, cell.model) == (self.table, self.model)]
        return [cell for cell in own if cell.bits != AVERAGE and cell.metric != AVERAGE_COLUMN]

    def recipes(self) -> list[tuple[str, int]]:
        """The recipes as (method, bits), in the table's order."""
        rows = ((cell.method, cell.bits) for cell in self.cells() if cell.bits != UNQUANTIZED)
        return [(METHODS[method], BITS[bits]) for method, bits in dict.fromkeys(rows)]

    def sets(self) -> list[str]:
        """The names of the calibration data (baseline, elder, self, teacher), in the table's order."""
        return list(dict.fromkeys(cell.calibration for cell in self.cells() if cell.bits != UNQUANTIZED))

    def columns(self) -> list[str]:
        """The measured columns. A column that holds means is replaced by the columns that it averages."""
        named = dict.fromkeys(cell.metric for cell in self.cells())
        return list(dict.fromkeys(part for name in named for part in MEANS.get(name, (name,))))

    def about(self) -> str:
        """Describe the experiment in one line, for a list of presets."""
        methods = dict.fromkeys(f"{method.upper()} {bits} bit" for method, bits in self.recipes())
        columns = self.columns()
        kinds = {
            "perplexity": any(column.endswith("_ppl") for column in columns),
            "general tasks": bool(set(columns) & set(GENERAL)),
            "specialised tasks": bool(set(columns) & set(SPECIAL)),
        }
        measured = ", ".join(kind for kind, present in kinds.items() if present)
        return f"{self.model}: {', '.join(methods)}; {' against '.join(self.sets())}; {measured}"


def all_experiments() -> list[Experiment]:
    """An experiment for each target of each table, in the paper's order."""
    return [Experiment(*key) for key in dict.fromkeys((cell.table, cell.model) for cell in cells())]


def find_experiment(name: str, target: str | None = None) -> Experiment:
    """The experiment `name` (such as `paper/table1`) for `target`.

    If the table does not have `target`, the result is the experiment for the table's first model. Raises UsageError
    if there is no such preset.
    """
    matches = [experiment for experiment in all_experiments() if experiment.name == name]
    if not matches:
        names = list(dict.fromkeys(experiment.name for experiment in all_experiments()))
        raise UsageError(
            f"no preset {name!r}: choose from {names[0]} to {names[-1]}, see `faq-tui init --list-presets`"
        )
    spelt = [e for e in matches if target is not None and _is(e, target)]
    return (spelt or matches)[0]


def others(experiment: Experiment) -> list[str]:
    """Other targets of the same table."""
    models = dict.fromkeys(cell.model for cell in select(table=experiment.table))
    return [model for model in models if model != experiment.model]


def _is(experiment: Experiment, target: str) -> bool:
    return same_name(experiment.model, target) or same_name(experiment.hub_id, target)
