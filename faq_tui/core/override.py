"""A person's word on one seed, which outweighs the judge's."""

from __future__ import annotations

import getpass

from faq_tui.core.errors import UsageError
from faq_tui.core.regenerating import generation_of
from faq_tui.core.run import Run
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import picks, seeds

# A person may well want a candidate that loops a little; half an answer is none.
NEVER_ASSEMBLED = ("truncated", "unclosed_think", "empty")


def override(run: Run, seed_text: str, candidate: str, reason: str) -> str:
    """Add the override; returns what it did, in a sentence. Raises UsageError."""
    seed_id = seeds.find(run.store, seed_text)
    source, word = _source_of(run, candidate)
    who = _user()
    if word == "judge":
        picks.add_picks(run.store, [(seed_id, source, "clear", None)], "person", who, reason)
        return f"{seed_id}: the choice of {source} is the judge's again"
    if not (word.isascii() and word.isdigit()):
        raise UsageError(f"candidate {candidate!r}: give 1, 2, 3 …, 0 to reject the seed, or `judge`")
    if word == "0":
        picks.add_picks(run.store, [(seed_id, source, "reject", None)], "person", who, reason)
        return f"{seed_id}: rejected for {source}"
    generation = generation_of(run.settings.sources[source])
    found = {c.number: c for c in candidate_rows.current(run.store, source, generation) if c.seed_id == seed_id}
    chosen = found.get(int(word))
    if chosen is None:
        there = ", ".join(map(str, sorted(found))) or "none yet"
        raise UsageError(f"seed {seed_id} has no candidate {word} from {source}; it has {there}")
    broken = [flag for flag in chosen.flags if flag in NEVER_ASSEMBLED]
    if broken:
        raise UsageError(f"candidate {word} of seed {seed_id} is {' and '.join(broken)}: it cannot be assembled")
    picks.add_picks(run.store, [(seed_id, source, "pick", chosen.id)], "person", who, reason)
    return f"{seed_id}: candidate {word} of {source} is picked"


def _source_of(run: Run, candidate: str) -> tuple[str, str]:
    names = list(run.settings.sources)
    if not names:
        raise UsageError("this run has no sources, so there is nothing to pick from")
    source, colon, word = candidate.rpartition(":")
    if colon:
        if source not in names:
            raise UsageError(f"no source {source!r}; this run has {', '.join(names)}")
        return source, word
    if len(names) > 1:
        raise UsageError(f"this run has the sources {', '.join(names)}: say which, as in {names[0]}:{candidate}")
    return names[0], candidate


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
