"""Store a person's pick or rejection for one seed. A person's decision takes precedence over the judge's pick.

Each decision is a new row in the database; existing rows are never changed.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence

from faq_tui.core.base.errors import UsageError
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.regenerating.flags import CUT_OFF, NOT_FINISHED
from faq_tui.core.run.run import Run
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import picks, seeds
from faq_tui.core.store.judged import Standing

# A person may pick a candidate that repeats itself. A candidate with a cut-off answer is never assembled.
NEVER_ASSEMBLED = CUT_OFF | NOT_FINISHED

MOST_DIGITS = 9  # of a candidate's number


def override(run: Run, seed_text: str, candidate: str, reason: str) -> str:
    """Store the override that a person gave on the command line. Returns a sentence about the change.

    Raises UsageError.
    """
    seed_id = seeds.find(run.store, seed_text)
    source, word = _source_of(run, candidate)
    if word == "judge":
        return give_back(run, seed_id, source, reason)
    if not (word.isascii() and word.isdigit() and len(word) <= MOST_DIGITS):
        raise UsageError(
            f"candidate {candidate!r:.100}: give a number (1, 2, 3 …), 0 to reject the seed, "
            "or `judge` to use the judge's pick"
        )
    if int(word) == 0:
        return reject(run, seed_id, source, reason)
    return pick(run, seed_id, source, int(word), reason)


def pick(run: Run, seed_id: str, source: str, number: int, reason: str) -> str:
    """Pick this candidate for the seed.

    Raises UsageError if the candidate does not exist, or if its answer is cut off.
    """
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


def accept_all(run: Run, source: str, standings: Sequence[Standing], reason: str) -> int:
    """For each of these seeds, store the judge's pick as the person's pick, all in one transaction.

    Returns the number of picks.

    Seeds without a pick by the judge are left out.
    """
    rows = [(one.seed_id, source, "pick", one.judge_pick) for one in standings if one.judge_pick is not None]
    picks.add_picks(run.store, rows, "person", user(), reason)
    return len(rows)


def reject(run: Run, seed_id: str, source: str, reason: str) -> str:
    """Leave this seed out of the source's set."""
    _add(run, seed_id, source, "reject", None, reason)
    return f"{seed_id}: rejected for {source}"


def give_back(run: Run, seed_id: str, source: str, reason: str) -> str:
    """Remove the person's decision, so that the judge's pick is used again."""
    _add(run, seed_id, source, "clear", None, reason)
    return f"{seed_id}: the judge's pick of {source} is used again"


def give_back_all(run: Run, seed_ids: Sequence[str], source: str, reason: str) -> None:
    """Remove the person's decisions on these seeds, in one transaction."""
    picks.add_picks(run.store, [(seed_id, source, "clear", None) for seed_id in seed_ids], "person", user(), reason)


def user() -> str:
    """The login name of the current user; "unknown" if the system has none."""
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
            raise UsageError(f"no source {source!r}; the sources of this run are {', '.join(names)}")
        return source, word
    if len(names) > 1:
        raise UsageError(f"this run has the sources {', '.join(names)}: give one, for example {names[0]}:{candidate}")
    return names[0], candidate
