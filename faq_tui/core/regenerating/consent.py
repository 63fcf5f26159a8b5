"""Whether a person must say yes before the next regeneration, and to what."""

from __future__ import annotations

from faq_tui.core.regenerating.estimate import estimate, needs_consent
from faq_tui.core.regenerating.wanted import missing
from faq_tui.core.run import Run


def asked(run: Run) -> list[str]:
    """A sentence for each source that costs money, or more tokens than the settings let pass; [] if none does."""
    found = []
    for name, source in run.settings.sources.items():
        if source.price is None and not source.confirm_over_tokens:
            continue
        expected = estimate(run.store, name, source, missing(run, source))
        if needs_consent(source, expected):
            found.append(expected.sentence())
    return found
