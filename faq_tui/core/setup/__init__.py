"""The questions about a new run, and the checks of their answers.

`faq-tui init` and the app's wizard both use this package.
"""

from faq_tui.core.setup.draft import Draft, Origin, create_run, draft_text
from faq_tui.core.setup.step_report import Line, StepReport, sentence

__all__ = ["Draft", "Line", "Origin", "StepReport", "create_run", "draft_text", "sentence"]
