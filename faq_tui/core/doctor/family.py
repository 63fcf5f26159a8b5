"""Are the run's sources of its target's family?"""

from __future__ import annotations

from faq_tui.core.doctor.check import Check
from faq_tui.core.family import FAMILY, check_sources, suggestions
from faq_tui.core.family.served import ask_servers
from faq_tui.core.run import Run


def family_checks(run: Run) -> list[Check]:
    """One for each source. The servers are asked what they loaded; nothing else leaves this machine."""
    ask_servers(run)
    elders = suggestions(run)
    advice = f"elders of its family: {', '.join(elders)}" if elders else "name a larger model of the target's family"
    checks = []
    for found in check_sources(run):
        kin = found.kinship
        words = f"{found.badge}: {found.model}; {'; '.join(kin.reasons)}"
        well = kin.verdict == FAMILY and (kin.itself or kin.larger is not False)
        if kin.verdict == FAMILY and not well:
            words += "; it is no larger than the target, as an elder is"
        checks.append(Check(f"family {found.source}", "ok" if well else "warning", words, "" if well else advice))
    return checks
