"""Compare two runs: settings that differ, the evidence of both on one scale, and seeds whose picks differ."""

from faq_tui.core.run_comparison.comparison import RunComparison, RunSide, compare_runs
from faq_tui.core.run_comparison.picks import Differing, PickComparison, PickedAnswer, both_answers
from faq_tui.core.run_comparison.settings import SettingDifference, setting_differences

__all__ = [
    "Differing",
    "PickComparison",
    "PickedAnswer",
    "RunComparison",
    "RunSide",
    "SettingDifference",
    "both_answers",
    "compare_runs",
    "setting_differences",
]
