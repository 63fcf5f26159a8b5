"""How each seed of one source stands with the judge and with people, without any text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.store import picks
from faq_tui.core.store.database import Store
from faq_tui.core.store.picks import Pick
from faq_tui.core.store.seed_pages import View


@dataclass(frozen=True)
class Standing:
    """One chosen seed that has a candidate at least."""

    seed_id: str
    judged: bool
    judge_pick: int | None  # candidate id; None: it found none fit, or has not judged
    override: Pick | None  # a person's last word, if it stands
    margin: float | None  # between the two best marks of fit candidates
    unfit: int  # candidates with a flag


@dataclass(frozen=True)
class ScoreRow:
    score: float | None
    reason: str
    kind: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Override:
    seed_id: str
    who: str
    created: float  # unix seconds


def standings(store: Store, view: View) -> list[Standing]:
    """All seeds of the view's source, in file order."""
    query = (
        "SELECT c.seed_id, c.flags <> '[]' AS unfit, m.score FROM seeds s"
        " JOIN candidates c ON c.generation = :generation AND c.seed_id = s.id AND c.number <= :wanted"
        " LEFT JOIN scores m ON m.candidate_id = c.id AND m.judge = :judge"
        " WHERE s.role = 'chosen' AND s.present AND NOT s.excluded ORDER BY s.position, c.number"
    )
    found: dict[str, tuple[list[float], list[bool]]] = {}
    for seed_id, unfit, score in store.db.execute(query, vars(view)):
        marks, flags = found.setdefault(seed_id, ([], []))
        flags.append(bool(unfit))
        if score is not None and not unfit:
            marks.append(score)
    # As in `picks.current`: a word on an answer from before the source's settings changed counts no more.
    ids = store.db.execute("SELECT id FROM candidates WHERE generation = ?", (view.generation,))
    ours: set[int | None] = {None, *(row["id"] for row in ids)}
    said = picks.judged_by(store, view.source, view.judge).items()
    judged = {seed_id: chosen for seed_id, chosen in said if chosen in ours}
    people = picks.overrides(store, view.source).items()
    overrides = {seed_id: pick for seed_id, pick in people if pick.candidate_id in ours}
    return [
        Standing(seed_id, seed_id in judged, judged.get(seed_id), overrides.get(seed_id), _margin(marks), sum(flags))
        for seed_id, (marks, flags) in found.items()
    ]


def usable_groups(store: Store, generation: str, wanted: int) -> list[list[int]]:
    """Ids of each chosen seed's candidates without a flag, up to number `wanted`, in file order."""
    query = (
        "SELECT c.seed_id, c.id FROM seeds s JOIN candidates c ON c.generation = ? AND c.seed_id = s.id"
        " WHERE c.number <= ? AND c.flags = '[]' AND s.role = 'chosen' AND s.present AND NOT s.excluded"
        " ORDER BY s.position, c.number"
    )
    groups: dict[str, list[int]] = {}
    for seed_id, candidate_id in store.db.execute(query, (generation, wanted)):
        groups.setdefault(seed_id, []).append(candidate_id)
    return list(groups.values())


def scores_by_candidate(store: Store, judge: str, candidate_ids: Sequence[int]) -> dict[int, ScoreRow]:
    """Candidate id to this judge's mark; unmarked ones are left out."""
    query = "SELECT score, reason, kind, details FROM scores WHERE candidate_id = ? AND judge = ?"
    rows = ((i, store.db.execute(query, (i, judge)).fetchone()) for i in candidate_ids)
    return {
        i: ScoreRow(row["score"], row["reason"], row["kind"], json.loads(row["details"]))
        for i, row in rows
        if row is not None
    }


def columns_of(store: Store, judges: Sequence[str], candidate_ids: Sequence[int]) -> dict[int, tuple[ScoreRow, ...]]:
    """Candidate id to the marks of each of these judges that has marked it, in their order."""
    found = [scores_by_candidate(store, judge, candidate_ids) for judge in judges]
    return {i: tuple(marks[i] for marks in found if i in marks) for i in candidate_ids}


def last_override(store: Store, source: str, who: str | None = None, seed_id: str | None = None) -> Override | None:
    """The newest override that no later row of its seed replaces or clears; of one person or seed, if given."""
    row = store.db.execute(
        "SELECT seed_id, who, created FROM picks p WHERE source = :source AND picked_by = 'person'"
        " AND action <> 'clear' AND (:who IS NULL OR who = :who) AND (:seed IS NULL OR seed_id = :seed)"
        " AND NOT EXISTS (SELECT 1 FROM picks l WHERE l.source = p.source AND l.seed_id = p.seed_id"
        " AND l.picked_by = 'person' AND l.id > p.id) ORDER BY id DESC LIMIT 1",
        {"source": source, "who": who, "seed": seed_id},
    ).fetchone()
    return None if row is None else Override(row["seed_id"], row["who"], row["created"])


def _margin(marks: list[float]) -> float | None:
    if len(marks) < 2:
        return None
    best, second = sorted(marks, reverse=True)[:2]
    return best - second
