"""Plans of a run, without a run."""

from __future__ import annotations

from faq_tui.core.run_plan import PlannedStage, RunPlan

NAMES = ("seeds", "regenerate", "judge", "assemble", "activations", "quantize", "evaluate", "report")


def made_up_plan(*states: str, seconds: float | None = 60.0, changed: int = 0) -> RunPlan:
    every = [*states, *["missing"] * (len(NAMES) - len(states))]
    return RunPlan(tuple(PlannedStage(*pair, seconds) for pair in zip(NAMES, every, strict=True)), changed)


STALE = made_up_plan(*["done"] * 3, *["stale"] * 5, changed=3)
