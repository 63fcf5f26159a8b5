"""Does a folder that the run loads bring Python code, and is it trusted? Asked before anything is paid for."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.hub import cached_folder, local_folder
from faq_tui.core.models.model_code import named_code
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED

NO_MODEL = {"seeds", "report"}  # stages that load none and pay for nothing


def refuse_code(run: Run) -> None:
    """Raise UsageError if a folder of the run brings code and trust_remote_code is off.

    Of a hub id the JSON files are fetched; while the hub cannot be reached, nothing is known of it.
    """
    found = untrusted_code(run, fetch=True)
    if found:
        raise UsageError(found)


def untrusted_code(run: Run, fetch: bool = False) -> str:
    """The sentence for a person; empty if there is none or `trust_remote_code` is on."""
    if run.settings.target.trust_remote_code:
        return ""
    models = {"target.model": run.settings.target.model}
    models |= {f"sources.{name}.model": s.model for name, s in run.settings.sources.items() if s.is_local}
    for key, model in models.items():
        folder = _folder(run, model, fetch)
        if folder is not None and (what := named_code(folder)):
            return (
                f"{key} {model} brings Python code ({what}), which does not run unless you ask for it: set "
                "trust_remote_code = true under [target] if you trust its author, or use a folder that names no code"
            )
    return ""


def _folder(run: Run, model: str, fetch: bool) -> Path | None:
    if model == EMBEDDED:
        return None
    folder = run.resolve(model)
    if folder.is_dir():
        return folder
    try:
        return cached_folder(model) or (local_folder(model, only_config=True) if fetch else None)
    except UsageError:
        return None  # whoever loads it says why it cannot be had
