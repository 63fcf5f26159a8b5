"""Check whether the target's weights fit into memory, as a whole or layer by layer."""

from __future__ import annotations

from faq_tui.core.doctor.inputs import Check
from faq_tui.core.run.run import Run
from faq_tui.core.stages.memory_check import memory_notices, target_memory

NAME = "target memory"


def memory_checks(run: Run) -> list[Check]:
    """A list with one check. The list is empty if the target's files are not on this machine."""
    memory = target_memory(run)
    if memory is None:
        return []
    found = memory.in_words()
    if memory.too_small:
        how = 'set target.read = "layers", or use' if not memory.by_layers else "use"
        advice = f"this is more than the free {memory.too_small} memory: {how} a larger machine"
        return [Check(NAME, "warning", found, advice)]
    notices = memory_notices(run, ["evaluate"])
    return [Check(NAME, "warning", found, notices[0])] if notices else [Check(NAME, "ok", found)]
