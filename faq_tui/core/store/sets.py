"""Store facts about calibration sets. The samples of a set are in `calibration/<set>.jsonl`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class SetRow:
    """One assembled calibration set."""

    name: str
    ids_hash: str  # hash of all token ids in order
    samples: int
    tokens: int
    tokens_full: int  # number of tokens of the set before its samples were cut
    by_person: int  # number of samples whose candidate was picked by a person

    # maps each reason to the number of conversations that could not become samples
    refused: dict[str, int]
    answered: int = 0  # number of samples that have an answer, even if a part of the answer was cut off
    whole_answers: int = 0  # number of samples whose answer is still complete

    # Maps each form of rendering (template, generation_prompt, inline or raw) to the number of samples with this
    # form.
    ways: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> float | None:
        """The share (0 to 1) of the set's tokens that is left after samples were cut.

        The result is None for a set without tokens.
        """
        return self.tokens / self.tokens_full if self.tokens_full else None


def add_set(store: Store, row: SetRow) -> None:
    """Store a set. An earlier set of the same name is replaced."""
    values = (
        *(row.name, row.ids_hash, row.samples, row.tokens, row.tokens_full, row.by_person),
        *(json.dumps(row.refused), row.answered, row.whole_answers, json.dumps(row.ways), time.time()),
    )
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO sets (name, ids_hash, samples, tokens, tokens_full, by_person, refused,"
            " answered, whole_answers, ways, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )


def remove_set(store: Store, name: str) -> None:
    """Delete a set from the database. The set's file is not deleted."""
    with store.writing() as db:
        db.execute("DELETE FROM sets WHERE name = ?", (name,))


def all_sets(store: Store) -> dict[str, SetRow]:
    """Sets by name, in the order in which they were assembled."""
    names = list(SetRow.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM sets ORDER BY rowid")
    return {row["name"]: _row(dict(row)) for row in rows}


def _row(values: dict[str, Any]) -> SetRow:
    return SetRow(**{**values, "refused": json.loads(values["refused"]), "ways": json.loads(values["ways"])})
