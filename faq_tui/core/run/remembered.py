"""Values that were computed from large tables, kept in the run's cache folder until one of these tables changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from faq_tui import __version__
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.kept import Kept
from faq_tui.core.run.run import Run
from faq_tui.core.store import changes
from faq_tui.core.store.database import MEMORY

FILE = "computed.json"
VERSION = 1  # a higher number makes all kept values invalid; a change of what is computed needs one


def remembered(run: Run, name: str, tables: Sequence[str], inputs: object, compute: Callable[[], Any]) -> Any:
    """The result of `compute`, which depends only on `inputs` and on these tables. JSON can hold the result.

    `inputs` are plain values, as `digest` takes them. A database that was never opened for writing by this version
    has no tokens, and the result is computed.
    """
    before = changes.tokens(run.store.db, tables)
    if before is None or str(run.store.path) == MEMORY:
        return compute()

    def unchanged() -> bool:  # else the value may come from an earlier or a later state than the token
        return changes.tokens(run.store.db, tables) == before

    state = [*before, digest(__version__, VERSION, inputs)]
    return Kept(run.cache / FILE).get(name, state, compute, unchanged)
