"""Store artefacts (quantized model folders), and the reasons why artefacts could not be made."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.store.database import Store


@dataclass(frozen=True)
class Artefact:
    """The target quantized by one recipe on one calibration set."""

    name: str  # also the name of the artefact's folder, unless `same_as` is set
    signature: str  # hash of recipe, token ids and target
    recipe: dict[str, Any]  # result of Recipe.identity
    set_name: str
    # Artefacts with the same recipe and the same token ids share the folder of one of them. `same_as` is the name of
    # the artefact that owns the shared folder, or None if this artefact has its own folder.
    same_as: str | None
    samples: int
    tokens: int
    bits: float  # average number of bits per quantized weight
    seconds: float  # duration of quantizing

    @property
    def folder(self) -> str:
        """The folder under `models/` that holds the artefact's weights."""
        return self.same_as or self.name


def add_artefact(store: Store, artefact: Artefact) -> None:
    """Store an artefact. An earlier artefact or failure of the same name is replaced."""
    a = artefact
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO artefacts"
            " (name, signature, recipe, set_name, same_as, samples, tokens, bits, seconds, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(a.name, a.signature, json.dumps(a.recipe), a.set_name, a.same_as),
                *(a.samples, a.tokens, a.bits, a.seconds, time.time()),
            ),
        )
        db.execute("DELETE FROM artefact_failures WHERE name = ?", (a.name,))


def add_failure(store: Store, name: str, signature: str, message: str) -> None:
    """Store the reason why an artefact could not be made. `add_artefact` removes this reason."""
    with store.writing() as db:
        db.execute(
            "INSERT OR REPLACE INTO artefact_failures (name, signature, message, created) VALUES (?, ?, ?, ?)",
            (name, signature, storable(message), time.time()),
        )


def all_failures(store: Store) -> dict[str, tuple[str, str]]:
    """Maps the name of each artefact that could not be made to its signature and the reason."""
    rows = store.db.execute("SELECT name, signature, message FROM artefact_failures")
    return {row["name"]: (row["signature"], row["message"]) for row in rows}


def artefacts_with(store: Store, signature: str) -> list[Artefact]:
    """All artefacts with this signature, the oldest first."""
    return list(_read(store, "WHERE signature = ?", signature).values())


def all_artefacts(store: Store) -> dict[str, Artefact]:
    """All artefacts by name, the oldest artefact first."""
    return _read(store)


def _read(store: Store, which: str = "", *values: str) -> dict[str, Artefact]:
    names = list(Artefact.__dataclass_fields__)
    rows = store.db.execute(f"SELECT {', '.join(names)} FROM artefacts {which} ORDER BY created, name", values)
    return {row["name"]: Artefact(**{**dict(row), "recipe": json.loads(row["recipe"])}) for row in rows}
