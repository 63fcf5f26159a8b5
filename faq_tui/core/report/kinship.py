"""Whether a source is an elder at all, or the target itself."""

from __future__ import annotations

from faq_tui.core.settings import Settings, Source
from faq_tui.core.settings.schema import EMBEDDED

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
    embedded_target = settings.target.model == EMBEDDED
    if (
        name == SELF
        or _same(source.model, settings.target.model)
        or (embedded_target and source.base_url == EMBEDDED)
    ):
        return NO_ELDER
    return NO_RELATIVE if source.base_url == EMBEDDED else ""


def _same(one: str, other: str) -> bool:
    """The same model's name, be it a hub id, a folder or what a server calls it."""
    return _bare(one) == _bare(other)


def _bare(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].casefold()
