"""Checks of this machine and of a run's inputs.

The result of a check is one line with a finding, and advice if needed.
"""

from faq_tui.core.doctor.inputs import Check, endpoint_checks, family_checks, target_checks
from faq_tui.core.doctor.machine import machine_checks
from faq_tui.core.doctor.recipes import recipe_checks

__all__ = ["Check", "endpoint_checks", "family_checks", "machine_checks", "recipe_checks", "target_checks"]
