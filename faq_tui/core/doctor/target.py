"""Can the run's target be quantized by its recipes, as far as its configuration tells?"""

from __future__ import annotations

from faq_tui.core.doctor.check import Check
from faq_tui.core.errors import FaqError
from faq_tui.core.quantizing.fit import refuse_unfit
from faq_tui.core.run import Run
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.target import untrusted_code


def target_checks(run: Run) -> list[Check]:
    return [_fit(run), _code(run)]


def _code(run: Run) -> Check:
    if run.settings.target.trust_remote_code:
        return Check("model code", "ok", "trust_remote_code = true: Python code of the model's folder runs")
    found = untrusted_code(run)
    if found:
        return Check("model code", "failed", "the model's folder brings Python code", found)
    return Check("model code", "ok", "no Python code of the model's folder runs")


def _fit(run: Run) -> Check:
    name = run.settings.target.model
    folder = run.resolve(name)
    if name == EMBEDDED:
        return Check("target", "ok", "embedded")
    if not folder.is_dir():
        return Check("target", "ok", f"{name}: a hub id, checked when it is fetched")
    try:
        refuse_unfit(run)
    except FaqError as error:
        return Check("target", "failed", str(folder), str(error))
    return Check("target", "ok", str(folder))
