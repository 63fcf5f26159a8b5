"""One SQLite file a run: seeds, candidates, scores, picks, stages, artefacts, measurements."""

from faq_tui.core.store.database import Store

__all__ = ["Store"]
