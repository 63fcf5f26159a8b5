"""Notices for sources that use a model that is not an elder. An elder is a larger model of the target's family."""

from __future__ import annotations

from typing import Any

from faq_tui.core.family import FAMILY, Finding, check_sources, suggestions
from faq_tui.core.report.formatting import escape
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Settings

NO_ELDER = "No elder was used: the target regenerated its own data, so FAQ does not promise a gain"
NO_RELATIVE = (
    "No elder was used: the small embedded model regenerated the data. It is not a larger model of the target's "
    "family, so FAQ does not promise a gain"
)


def notices(run: Run) -> list[dict[str, str]]:
    """One notice {source, message} for each source that uses no elder. The message is Markdown."""
    return [{"source": f.source, "message": message} for f in check_sources(run) if (message := _notice(run, f))]


def kinships(run: Run) -> dict[str, dict[str, Any]]:
    """The result of the family check of each source, as plain data."""
    return {
        finding.source: {
            "model": finding.model,
            "verdict": finding.kinship.verdict,
            "known": finding.kinship.known,
            "larger": finding.kinship.larger,
            "reasons": list(finding.kinship.reasons),
        }
        for finding in check_sources(run)
    }


def _notice(run: Run, finding: Finding) -> str:
    kin = finding.kinship
    if kin.itself:
        return NO_ELDER
    if run.settings.sources[finding.source].base_url == EMBEDDED:
        return NO_RELATIVE
    model, why = escape(finding.model), escape("; ".join(kin.reasons))
    if kin.verdict == FAMILY:
        if kin.larger is not False:
            return ""
        return f"{model} is of the target's family but not larger than the target, so it is not an elder"
    elders = suggestions(run)
    instead = f". Elders of the target: {escape(', '.join(elders))}" if elders else ""
    if not kin.known:
        return f"It is unknown whether {model} is of the target's family ({why}){instead}"
    return f"{model} is not of the target's family ({kin.verdict}: {why}), so FAQ does not promise a gain{instead}"


def target_name(settings: Settings) -> str:
    """The target's name in the form that servers use."""
    if settings.target.model != EMBEDDED:
        return settings.target.model
    from faq_tui.core.embedded.gguf_file import MODEL_NAME

    return MODEL_NAME
