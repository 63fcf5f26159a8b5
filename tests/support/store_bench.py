"""Seeds and candidates as they are stored, and a database that holds seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import settings

from faq_tui.core.store import Store, seeds
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed

ON_DISK = settings(deadline=None, max_examples=40)


def seed(number: int = 0) -> Seed:
    return Seed(({"role": "user", "content": f"question {number}"},), None, f"f:{number}")


def candidate(number: int = 1, **changes: Any) -> Candidate:
    base = Candidate(
        seed_id=seed().id,
        source="elder",
        number=number,
        source_hash="g1",
        model="Big",
        prompt_version="none",
        reasoning="because",
        answer="so",
        finish_reason="stop",
        flags=(),
        prompt_tokens=3,
        completion_tokens=4,
        seconds=0.5,
        dialect="reasoning_content",
    )
    return replace(base, **changes)


def opened(path: Path, count: int = 1) -> Store:
    store = Store(path)
    seeds.replace_all(store, [seed(number) for number in range(count)])
    seeds.assign_roles(store, seeds.ids(store), [])
    return store
