"""Checks of this machine and of a run's inputs.

Each check gives one line with a finding. If a person should do something about the finding, the check also gives
advice.
"""

from faq_tui.core.doctor.inputs import Check, endpoint_checks, family_checks, target_checks
from faq_tui.core.doctor.machine import machine_checks
from faq_tui.core.doctor.memory import memory_checks
from faq_tui.core.doctor.recipes import quantization_time, recipe_checks
from faq_tui.core.doctor.set_size import most_answer_tokens

__all__ = [
    "Check",
    "endpoint_checks",
    "family_checks",
    "machine_checks",
    "memory_checks",
    "most_answer_tokens",
    "quantization_time",
    "recipe_checks",
    "target_checks",
]
