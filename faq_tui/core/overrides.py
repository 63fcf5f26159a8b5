"""A person's decisions on single seeds: pick a candidate, or reject the seed. They take precedence over the judge's
picks. Each decision is stored as a new row; no row is ever edited.
"""

from __future__ import annotations

import getpass

from faq_tui.core.base.errors import UsageError
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.regenerating.flags import CUT_OFF
from faq_tui.core.run.run import Run
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import picks, seeds

# A person may pick a candidate that repeats itself a little. An incomplete answer is never assembled.
NEVER_ASSEMBLED = CUT_OFF


def override(run: Run, seed_text: str, candidate: str, reason: str) -> str:
    """Store the decision that a command line asks for. Returns a sentence about the result. Raises UsageError."""
    seed_id = seeds.find(run.store, seed_text)
    source, word = _source_of(run, candidate)
    if word == "judge":
        return give_back(run, seed_id, source, reason)
    if not (word.isascii() and word.isdigit()):
        raise UsageError(f"candidate {candidate!r}: give 1, 2, 3 …, 0 to reject the seed, or `judge`")
    if int(word) == 0:
        return reject(run, seed_id, source, reason)
    return pick(run, seed_id, source, int(word), reason)


def pick(run: Run, seed_id: str, source: str, number: int, reason: str) -> str:
    """Pick this candidate for the seed. Raises UsageError if it does not exist or can never be assembled."""
    source_hash = source_hash_of(run.settings.sources[source])
    of_seed = {c.number: c for c in candidate_rows.of_seed(run.store, source, source_hash, seed_id)}
    chosen = of_seed.get(number)
    if chosen is None:
        available = ", ".join(map(str, sorted(of_seed))) or "none yet"
        raise UsageError(f"seed {seed_id} has no candidate {number} from {source}; it has {available}")
    broken = [flag for flag in chosen.flags if flag in NEVER_ASSEMBLED]
    if broken:
        raise UsageError(f"candidate {number} of seed {seed_id} is {' and '.join(broken)}: it cannot be assembled")
    _add(run, seed_id, source, "pick", chosen.id, reason)
    return f"{seed_id}: candidate {number} of {source} is picked"


def reject(run: Run, seed_id: str, source: str, reason: str) -> str:
    """Reject the seed: the source's set will have no sample of it."""
    _add(run, seed_id, source, "reject", None, reason)
    return f"{seed_id}: rejected for {source}"


def give_back(run: Run, seed_id: str, source: str, reason: str) -> str:
    """Remove the person's decision, so that the judge's pick applies again."""
    _add(run, seed_id, source, "clear", None, reason)
    return f"{seed_id}: the choice of {source} is the judge's again"


def user() -> str:
    """The user name of the person who runs faq-tui."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _add(run: Run, seed_id: str, source: str, action: str, candidate_id: int | None, reason: str) -> None:
    picks.add_picks(run.store, [(seed_id, source, action, candidate_id)], "person", user(), reason)


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
