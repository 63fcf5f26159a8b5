"""Check a run before requests are written into batch files.

The stages `seeds` and `regenerate` make the same checks.
"""

from __future__ import annotations

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.shell import command_line
from faq_tui.core.family import warnings as family_warnings
from faq_tui.core.quantizing.preflight import refuse_unquantizable
from faq_tui.core.run.run import Run, lock_owner
from faq_tui.core.stages.pipeline import all_stages, is_current


def check_before_batch(run: Run) -> list[str]:
    """Returns warnings about the run. A person may continue in spite of the warnings.

    Raises UsageError if the batch's answers could not be used: if the seeds are not up to date, or if the target
    cannot be quantized with the recipes in the settings.
    """
    if not is_current(run, next(stage for stage in all_stages() if stage.name == "seeds")):
        raise UsageError(
            f"the seeds are not up to date: first run `{command_line('run', run.folder, '--only', 'seeds')}`"
        )
    refuse_unquantizable(run)
    warnings = family_warnings(run)
    if lock_owner(run.folder) is not None:
        warnings.append(
            f"another faq-tui is working on {run.folder}: it may send the same requests as the batch files"
        )
    return warnings
