"""Whether a source is an elder at all, or the target itself."""

from __future__ import annotations

from faq_tui.core.settings import EMBEDDED, Settings, Source

SELF = "self"
NO_ELDER = "No elder was involved: the target regenerated its own data, and a gain is not promised"
NO_RELATIVE = (
    "No elder was involved: the small embedded model regenerated the data, which is no larger sibling of the "
    "target, and a gain is not promised"
)


def notices(settings: Settings) -> list[dict[str, str]]:
    """One for each source that is no elder: {source, message}."""
    found = ((name, _notice(settings, name, source)) for name, source in settings.sources.items())
    return [{"source": name, "message": message} for name, message in found if message]


def _notice(settings: Settings, name: str, source: Source) -> str:
    itself = name == SELF or _bare(source.model) == _bare(target_name(settings))
    if itself or (settings.target.model == EMBEDDED and source.base_url == EMBEDDED):
        return NO_ELDER
    return NO_RELATIVE if source.base_url == EMBEDDED else ""


def target_name(settings: Settings) -> str:
    """The target as a server would call it."""
    if settings.target.model != EMBEDDED:
        return settings.target.model
    from faq_tui.core.embedded.pinned import MODEL_NAME

    return MODEL_NAME


def _bare(name: str) -> str:
    """The same for a hub id, a folder and what a server calls the model."""
    return name.rstrip("/").rpartition("/")[2].casefold()
