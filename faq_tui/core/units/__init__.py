"""Units of work: the parts of a run that separate processes, and separate machines, can do.

A unit is one artefact, the evaluation or the benchmarks of one model, the activations of one calibration set, or the
candidates of one draw by a local source. A unit has inputs, which a hash identifies, and needs memory and time. Its
result is stored like the result of the stage that it belongs to. So a unit can be repeated without harm, and a job of
the whole run skips what units have already done.

`unit.py` defines a unit, its states and its needs.
`listing.py` lists all units of a run with their states.
`needs.py` estimates the memory and the time of units.
`running.py` does one unit.
"""

from faq_tui.core.units.listing import units_of
from faq_tui.core.units.running import run_unit
from faq_tui.core.units.unit import Needs, Unit

__all__ = ["Needs", "Unit", "run_unit", "units_of"]
