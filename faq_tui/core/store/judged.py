"""Read the decisions of the judge and of people for each seed of one source. No texts of candidates are read."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from faq_tui.core.store import picks
from faq_tui.core.store.database import Store
from faq_tui.core.store.picks import Pick, ScoreRow
from faq_tui.core.store.seed_pages import View

SCORED = ("seeds", "candidates", "scores")  # the tables on which the scores of present candidates depend


@dataclass(frozen=True, slots=True)
class Standing:
    """The decisions on one chosen seed that has at least one candidate."""

    seed_id: str
    judged: bool
    judge_pick: int | None  # candidate id; None if no candidate is usable, or if the seed is not judged yet
    override: Pick | None  # the person's pick or rejection that is valid now; None if there is none
    margin: float | None  # best score minus second-best score of the usable candidates
    unusable: int  # number of candidates with a flag
    candidates: int = 0  # number of candidates, with and without a flag

    @property
    def usable(self) -> bool:
        """True if the seed has a candidate without a flag."""
        return self.candidates > self.unusable


@dataclass(frozen=True)
class Override:
    seed_id: str
    who: str
    created: float  # unix seconds


def standings(store: Store, view: View) -> list[Standing]:
    """All seeds of the view's source, in file order."""
    query = (
        "SELECT c.seed_id, c.flags <> '[]', m.score FROM seeds s INDEXED BY seeds_chosen"
        " CROSS JOIN candidates c ON c.generation = :source_hash AND c.seed_id = s.id AND c.number <= :candidates"
        " LEFT JOIN scores m INDEXED BY scores_by_judge ON m.judge = :judge AND m.candidate_id = c.id"
        " WHERE s.role = 'chosen' AND s.present AND NOT s.excluded ORDER BY s.position, s.id, c.number"
    )
    by_seed: dict[str, tuple[list[float], list[bool]]] = {}
    for seed_id, unusable, score in store.db.execute(query, vars(view)):
        scores, flags = by_seed.setdefault(seed_id, ([], []))
        flags.append(bool(unusable))
        if score is not None and not unusable:
            scores.append(score)
    # Picks of candidates that were made with earlier settings of the source are ignored, as in `picks.current`. If
    # the setting `candidates` was lowered, the judge has to pick again among the remaining candidates.
    query = "SELECT id, number FROM candidates WHERE generation = ?"
    numbers = dict(store.db.execute(query, (view.source_hash,)).fetchall())
    ours: set[int | None] = {None, *numbers}
    by_judge = picks.judged_by(store, view.source, view.judge).items()
    judged = {
        seed_id: chosen
        for seed_id, chosen in by_judge
        if chosen is None or numbers.get(chosen, view.candidates + 1) <= view.candidates
    }
    by_people = picks.overrides(store, view.source).items()
    overrides = {seed_id: pick for seed_id, pick in by_people if pick.candidate_id in ours}
    return [
        Standing(
            *(seed_id, seed_id in judged, judged.get(seed_id), overrides.get(seed_id)),
            *(_margin(scores), sum(flags), len(flags)),
        )
        for seed_id, (scores, flags) in by_seed.items()
    ]


@dataclass(frozen=True)
class CandidateLayout:
    """The ids of one source's candidates for chosen seeds."""

    ids: array[int]  # the candidates with the planned numbers, in the order of seeds and numbers
    groups: list[list[int]]  # for each seed in file order, the `ids` without a flag; seeds without any are omitted
    every: bytearray  # 1 at each of the `ids`

    @property
    def usable(self) -> bytearray:
        """1 at each id in `groups`."""
        marks = bytearray(len(self.every))
        for group in self.groups:
            for candidate_id in group:
                marks[candidate_id] = 1
        return marks


def layout(store: Store, source_hash: str, candidates: int) -> CandidateLayout:
    """The candidates that were made with the source settings `source_hash`. `candidates` is the planned number for
    each seed.
    """
    return store.known(("layout", source_hash, candidates), lambda: _read_layout(store, source_hash, candidates))


def _read_layout(store: Store, source_hash: str, candidates: int) -> CandidateLayout:
    query = (
        "SELECT s.position, c.id, c.flags = '[]' FROM seeds s INDEXED BY seeds_chosen"
        " CROSS JOIN candidates c ON c.generation = ? AND c.seed_id = s.id AND c.number <= ?"
        " WHERE s.role = 'chosen' AND s.present AND NOT s.excluded ORDER BY s.position, s.id, c.number"
    )
    last = store.db.execute("SELECT max(id) FROM candidates").fetchone()[0] or 0
    ids, groups, here = array("q"), list[list[int]](), -1
    for position, candidate_id, usable in store.db.execute(query, (source_hash, candidates)):
        ids.append(candidate_id)
        if not usable:
            continue
        if position != here:
            here, group = position, list[int]()
            groups.append(group)
        group.append(candidate_id)
    every = bytearray(last + 1)
    for candidate_id in ids:
        every[candidate_id] = 1
    return CandidateLayout(ids, groups, every)


def usable_groups(store: Store, source_hash: str, candidates: int) -> list[list[int]]:
    """The ids of the candidates without a flag, for each chosen seed in file order.

    A candidate is left out if its number is larger than `candidates`.
    """
    return layout(store, source_hash, candidates).groups


@dataclass(frozen=True)
class ScoreSummary:
    """The scores of several candidates by one judge.

    `mean`, `low` and `high` are None if no candidate has a score.
    """

    scored: int
    unscored: int  # number of candidates that the judge could not score
    mean: float | None
    low: float | None
    high: float | None


def summary_of(store: Store, judge: str, marks: bytearray) -> ScoreSummary:
    """The scores by this judge of the candidates whose ids are marked. Candidates without a row are omitted.

    SQLite reads the marks, which takes much less time than a loop over the scores in Python.
    """
    query = (
        "SELECT count(score), count(*) - count(score), avg(score), min(score), max(score) FROM scores"
        " WHERE judge = ? AND substr(?, candidate_id + 1, 1) = x'01'"
    )
    return ScoreSummary(*store.db.execute(query, (judge, bytes(marks))).fetchone())


def scores_by_candidate(store: Store, judge: str, candidate_ids: Sequence[int]) -> dict[int, ScoreRow]:
    """Maps candidate ids to the scores of this judge. Candidates without a score are omitted."""
    query = "SELECT score, reason, kind, details FROM scores WHERE candidate_id = ? AND judge = ?"
    rows = ((i, store.db.execute(query, (i, judge)).fetchone()) for i in candidate_ids)
    return {
        i: ScoreRow(i, judge, row["kind"], row["score"], row["reason"], json.loads(row["details"]))
        for i, row in rows
        if row is not None
    }


def columns_of(store: Store, judges: Sequence[str], candidate_ids: Sequence[int]) -> dict[int, tuple[ScoreRow, ...]]:
    """Maps each candidate id to its scores by these judges, in the order of `judges`. Missing scores are omitted."""
    columns = [scores_by_candidate(store, judge, candidate_ids) for judge in judges]
    return {i: tuple(scores[i] for scores in columns if i in scores) for i in candidate_ids}


def last_override(store: Store, source: str, who: str | None = None, seed_id: str | None = None) -> Override | None:
    """The newest override that is still valid.

    An override is valid until a later row for the same seed replaces or clears it.

    `who` and `seed_id` limit the search to one person or seed.
    """
    row = store.db.execute(
        "SELECT seed_id, who, created FROM picks p WHERE source = :source AND picked_by = 'person'"
        " AND action <> 'clear' AND (:who IS NULL OR who = :who) AND (:seed IS NULL OR seed_id = :seed)"
        " AND NOT EXISTS (SELECT 1 FROM picks l WHERE l.source = p.source AND l.seed_id = p.seed_id"
        " AND l.picked_by = 'person' AND l.id > p.id) ORDER BY id DESC LIMIT 1",
        {"source": source, "who": who, "seed": seed_id},
    ).fetchone()
    return None if row is None else Override(row["seed_id"], row["who"], row["created"])


def same_batch(store: Store, source: str, override: Override) -> list[str]:
    """The ids of all seeds whose valid override was stored in the same transaction as `override`, in file order.

    When a person accepts many picks at once, these picks are stored in one transaction and have the same time.
    """
    query = (
        "SELECT p.seed_id FROM picks p JOIN seeds s ON s.id = p.seed_id"
        " WHERE p.source = :source AND p.picked_by = 'person' AND p.who = :who AND p.created = :created"
        " AND p.action <> 'clear' AND NOT EXISTS (SELECT 1 FROM picks l WHERE l.source = p.source"
        " AND l.seed_id = p.seed_id AND l.picked_by = 'person' AND l.id > p.id) ORDER BY s.position"
    )
    values = {"source": source, "who": override.who, "created": override.created}
    return [row["seed_id"] for row in store.db.execute(query, values)]


def questions(store: Store, seed_ids: Sequence[str], characters: int = 200) -> dict[str, str]:
    """Maps each seed id to the first `characters` characters of its question."""
    query = (
        f"SELECT s.id, CAST(substr(json_extract(s.messages, '$[#-1].content'), 1, {int(characters)}) AS BLOB) AS text"
        " FROM json_each(?) j CROSS JOIN seeds s ON s.id = j.value"
    )
    rows = store.db.execute(query, (json.dumps(list(seed_ids)),))
    return {row["id"]: bytes(row["text"] or b"").decode("utf-8", "replace") for row in rows}


def _margin(scores: list[float]) -> float | None:
    if len(scores) < 2:
        return None
    best, second = sorted(scores, reverse=True)[:2]
    return best - second
