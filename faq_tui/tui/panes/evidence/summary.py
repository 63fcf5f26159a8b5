"""The lines above and below: what all of it says, and what the row under the cursor means."""

from __future__ import annotations

from collections import Counter

from rich.text import Text

from faq_tui.core.base.text import sanitize
from faq_tui.core.evidence import Evidence
from faq_tui.tui.panes.evidence.data import MATCHES, VIEWS, EvidenceViewState, LoadedEvidence
from faq_tui.tui.panes.evidence.words import STYLES


def summary(found: LoadedEvidence, view_state: EvidenceViewState) -> Text:
    """How the verdicts fall, and what is shown of what; before them what to know of all figures."""
    evidence = found.evidence
    if evidence is None:
        return Text()
    line = Text()
    if found.report["outdated"]:
        line.append(f"{sanitize(found.report['outdated'])}.\n", "bold")
    if shared := found.report["run"]["shared_seeds"]:
        said = f"Draws share seeds, {shared['seeds']} of the same {shared['total']} in each: intervals are widened."
        line.append(f"{said}\n", "bold")
    parts = 0
    for equal in MATCHES[1:]:
        counts = _counts(evidence, equal)
        if counts:
            line.append("   " if parts else "").append(f"At equal {equal}: ", "bold")
            for index, (verdict, count) in enumerate(counts.items()):
                line.append(", " if index else "").append(f"{count} {verdict}", STYLES.get(verdict, ""))
            parts += 1
    if not parts:
        line.append(_nothing_compared(evidence), "bold")
    compared = sum(o.p is not None for c in evidence.comparisons for t in c.texts.values() for o in t.values())
    how = f"corrected for {compared} comparisons" if compared else f"{evidence.dtype} on {evidence.device}"
    if view_state.view == VIEWS[0]:
        match = "equal samples and tokens" if view_state.match == MATCHES[0] else f"equal {view_state.match}"
        how = f"{'all' if view_state.every else 'main'} metrics, {match} · {how}"
    if view_state.view == "items":
        how = f"left {view_state.left or 'no model'}, right {view_state.right or 'no model'}"
    if view_state.view == "run":
        how = "what these figures rest on"
    return line.append(f"\n{view_state.view}: ", "dim").append(sanitize(how), "dim")


def _counts(evidence: Evidence, equal: str) -> Counter[str]:
    """Of the main metric of each text."""
    return Counter(
        outcomes[evidence.metrics(text)[0]].verdict
        for comparison in evidence.comparisons
        if comparison.equal == equal
        for text, outcomes in comparison.texts.items()
    )


def _nothing_compared(evidence: Evidence) -> str:
    if len(evidence.rows) == 1:
        return "Only the unquantized model is measured so far: r goes on with the artefacts."
    return "Nothing to compare yet: no source's set stands beside a baseline."
