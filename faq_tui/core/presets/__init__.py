"""The paper's experiments as runs: `faq-tui init RUN --preset paper/table1`.

experiments.py  what each table of the paper measured, from its own numbers, and what it leaves unsaid
text.py         the complete faq.toml of one experiment
metrics.py      which benchmark brings the number of a column
cells.py        which cells of the table a run has filled
"""

from faq_tui.core.presets.cells import paper_cells
from faq_tui.core.presets.experiments import Experiment, all_experiments, find_experiment
from faq_tui.core.presets.text import PresetChoices, preset_text

__all__ = ["Experiment", "PresetChoices", "all_experiments", "find_experiment", "paper_cells", "preset_text"]
