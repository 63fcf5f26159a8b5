"""Candidates that the present settings leave unused. They stay stored, and other settings can use them again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from faq_tui.core.base.text import counted
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.stages import seeds as seeds_stage
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store import stages
from faq_tui.core.store.candidates import REPLACED

MOST_DRAWS = 16  # largest number of draws that are remembered
KEPT = "they stay in the database, and the old setting uses them again"


@dataclass(frozen=True)
class UnusedCandidates:
    """Numbers of stored candidates that are not used, by the reason.

    `returning` is the number of candidates that were unused and are used again, because their seeds are drawn again.
    """

    undrawn: int = 0  # their seeds are not drawn any more
    undrawn_seeds: int = 0
    surplus: int = 0  # their numbers are above the setting `candidates` of the source
    earlier: int = 0  # the source made them with other settings
    sourceless: int = 0  # their source is not in the settings any more
    returning: int = 0

    def __bool__(self) -> bool:
        return any((self.undrawn, self.surplus, self.earlier, self.sourceless))

    def beyond(self, other: UnusedCandidates) -> UnusedCandidates:
        """The candidates that are unused here, but not in `other`."""
        names = ("undrawn", "undrawn_seeds", "surplus", "earlier", "sourceless")
        more = {name: max(0, getattr(self, name) - getattr(other, name)) for name in names}
        again = sum(max(0, getattr(other, name) - getattr(self, name)) for name in names if name != "undrawn_seeds")
        return UnusedCandidates(**more, returning=max(0, self.returning - other.returning) + again)

    def only(self, stages: Iterable[str]) -> UnusedCandidates:
        """Without the candidates that the stages in `stages` do not make unused."""
        names = set(stages)
        found = self if "seeds" in names else replace(self, undrawn=0, undrawn_seeds=0, returning=0)
        return found if "regenerate" in names else replace(found, surplus=0, earlier=0, sourceless=0)

    def in_words(self) -> str:
        """A phrase such as "6 candidates of 2 seeds that are not drawn any more"; "" if there are none."""
        parts = [
            (self.undrawn, f"of {counted(self.undrawn_seeds, 'seed that is', 'seeds that are')} not drawn any more"),
            (self.surplus, "beyond the number of candidates in the settings"),
            (self.earlier, "made with other settings of the source"),
            (self.sourceless, "of sources that are not in the settings"),
        ]
        return " and ".join(f"{counted(number, 'candidate')} {why}" for number, why in parts if number)


NONE_UNUSED = UnusedCandidates()


def unused_candidates(run: Run) -> UnusedCandidates:
    """Count the candidates that the next job will leave unused. This may read the seed file."""
    drawn = drawn_next(run)
    chosen = set(seed_rows.ids_by_role(run.store, "chosen"))
    known: dict[str, int] = {}  # maps the hash of a source's settings to its number of candidates
    for one in run.settings.sources.values():  # two sources with the same settings share their candidates
        known[source_hash_of(one)] = max(one.candidates, known.get(source_hash_of(one), 0))
    found = dict.fromkeys(("undrawn", "surplus", "earlier", "sourceless", "returning"), 0)
    lost: set[str] = set()
    query = "SELECT seed_id, source, number, generation FROM candidates WHERE generation NOT LIKE ?"
    for seed_id, source, number, generation in run.store.db.execute(query, (f"%{REPLACED}",)):
        if seed_id not in chosen and seed_id not in drawn:
            continue
        if generation not in known:
            found["earlier" if source in run.settings.sources else "sourceless"] += 1
        elif number > known[generation]:
            found["surplus"] += 1
        elif seed_id not in drawn:
            found["undrawn"] += 1
            lost.add(seed_id)
        elif seed_id not in chosen:
            found["returning"] += 1
    return UnusedCandidates(undrawn_seeds=len(lost), **found)


def drawn_next(run: Run) -> set[str]:
    """The ids of the seeds that the next job regenerates: those of the last draw, or those of a new draw.

    If the seeds cannot be read fast, for example because they are a data set on the hub, the last draw is returned.
    """
    present = set(seed_rows.ids_by_role(run.store, "chosen"))
    signature, row = seeds_stage.signature(run), stages.all_rows(run.store).get("seeds")
    if not present or (row is not None and row.state == "done" and row.signature == signature):
        return present
    drawn = _drawn_now(run, signature)
    return present if drawn is None else set(drawn) - seed_rows.excluded(run.store)


# New draws, by the folder of the run and the signature of the stage `seeds`.
_draws: dict[tuple[Path, str], tuple[str, ...] | None] = {}


def _drawn_now(run: Run, signature: str) -> tuple[str, ...] | None:
    """The ids of a new draw. At most `MOST_DRAWS` draws are remembered. Several threads may call this function."""
    key = (run.folder, signature)
    if key in (known := dict(_draws)):
        return known[key]
    drawn = seeds_stage.would_draw(run)
    if len(known) >= MOST_DRAWS:
        _draws.clear()
    _draws[key] = drawn
    return drawn
