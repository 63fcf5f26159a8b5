"""Say before a run which settings have no effect.

`faq-tui doctor` reports the same notices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faq_tui.core.run.run import Run


def setting_notices(run: Run, stages: Sequence[str]) -> list[str]:
    """Sentences about settings that a person must read before the stages in `stages` run."""
    return list(_without_heldout(run)) if "evaluate" in stages else []


def _without_heldout(run: Run) -> Iterator[str]:
    """Keys of `[evaluate]` that need held-out seeds, if there are none."""
    evaluate = run.settings.evaluate
    if run.settings.seeds.heldout:
        return
    for key in ("greedy_tokens", "answers"):
        if getattr(evaluate, key) != type(evaluate).model_fields[key].default:
            yield (
                f"evaluate.{key} has no effect, because seeds.heldout is 0: no model answers held-out seeds; set "
                f"seeds.heldout above 0, or remove evaluate.{key}"
            )
