"""What unsaved changes of the settings would make out of date. The app calls this on a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.run.run import Run
from faq_tui.core.run_plan import Effect, effect_of
from faq_tui.core.settings import Settings
from faq_tui.core.settings.change import Change, changed_text
from faq_tui.core.settings.load import check_values
from faq_tui.core.store import Store


def effect_of_changes(
    folder: Path, text: str, raw: Mapping[str, Any], changes: Sequence[Change], settings: Settings
) -> Effect | str:
    """The effect of the changes, or a sentence that says why they cannot be saved.

    `text` and `raw` are the present content of `faq.toml`. `settings` are the settings after the changes. If the
    present content is invalid, no result was made with it, so the effect is empty.
    """
    try:
        changed_text(text, changes)
        present, _ = check_values(raw, folder)
        if present is None:
            return Effect()
        with closing(Store(folder / "faq.db", read_only=True)) as store:
            return effect_of(Run(folder, present, store), settings)
    except UsageError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  a fault in the plan must not end the app
        return f"what this makes out of date is not known ({type(error).__name__}: {error})"
