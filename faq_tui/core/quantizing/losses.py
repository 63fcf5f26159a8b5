"""What a module's loss in gptqmodel's log row says.

The column holds five kinds of text: a number; `not applicable` where AWQ has nowhere to put its scales;
`fallback(rtn): 0.0012` where fewer than 0.5% of the tokens reached the module, which is plain rounding and right
for a rarely routed expert; `rtn fallback` where the solve gave up (a Hessian that is not finite, or that no
damping makes positive definite); and 999999999 where nothing reached the module. The last two and every number
that is not finite mean a broken module: it fails.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NOTHING_REACHED_IT = 999999999.0
NO_SCALE = "not applicable"


@dataclass(frozen=True)
class Loss:
    value: float | None  # None: the module was rounded, `note` says why
    note: str = ""
    broken: str = ""  # why the module cannot be used


def read_loss(text: str) -> Loss:
    """Judge the `loss` column of one log row."""
    text = text.strip()
    if text.startswith("fallback("):
        if not _finite(text.rpartition(":")[2]):
            return Loss(None, text, "its weights are not finite")
        return Loss(None, f"rounded without calibration, too few tokens reached it: {text}")
    if text == NO_SCALE:
        return Loss(None, "rounded as it is: AWQ has no earlier module into which its scales could go")
    try:
        value = float(text)
    except ValueError:
        return Loss(None, text, f"the solve gave up ({text!r})")
    if not math.isfinite(value):
        return Loss(None, text, f"its loss is {text}")
    if value == NOTHING_REACHED_IT:
        return Loss(None, text, "no calibration token reached it")
    return Loss(value)


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
