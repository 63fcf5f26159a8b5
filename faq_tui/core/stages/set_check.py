"""Check two needs of the sets in `[sets]`: text files for prose, and a target with experts.

`faq-tui doctor` reports the same findings.
"""

from __future__ import annotations

from faq_tui.core.assembly.prose import check_prose
from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.hub import cached_folder
from faq_tui.core.models.target import local_target
from faq_tui.core.quantizing.preflight import expert_count
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED


def check_sets(run: Run) -> None:
    """Raise UsageError if a set cannot be made. This check is fast, and costs nothing."""
    check_prose(run)
    by_experts = [name for name, plan in run.settings.set_plans().items() if plan.select == "experts"]
    if by_experts and _is_dense(run):
        raise UsageError(
            f'sets.{by_experts[0]}.select = "experts" needs a mixture of experts, but target.model '
            f"{run.settings.target.model} is a dense model: choose another order"
        )


def _is_dense(run: Run) -> bool:
    """True if the target's config.json is on this machine and names no experts."""
    if run.settings.target.model == EMBEDDED:
        return True
    folder = local_target(run) or cached_folder(run.settings.target.model)
    if folder is None or not (folder / "config.json").is_file():
        return False
    return not expert_count(read_config(folder))
