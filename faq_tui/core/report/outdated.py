"""Whether the figures are of the settings and inputs that a run has now."""

from __future__ import annotations

from faq_tui.core.run.run import Run
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.store.stages import all_rows

STAGE = "evaluate"
CHANGED = (
    "The settings or the inputs of the stage evaluate have changed since these figures were measured: run it again"
)
UNFINISHED = "The stage evaluate is not finished: until it is, figures are missing, or of earlier settings"


def outdated(run: Run) -> str | None:
    """A sentence, without its full stop, where figures may be of earlier settings; None where they cannot."""
    row = all_rows(run.store).get(STAGE)
    if row is None:
        return None
    stage = next(stage for stage in all_stages() if stage.name == STAGE)
    if row.signature != stage.signature(run):
        return CHANGED
    return None if row.state == "done" else UNFINISHED
