"""A licence as a model card states it, and whether it allows to publish a changed model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.text import sanitize

ID = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")  # the hub's identifiers, such as apache-2.0
LINK = re.compile(r"https?://[^\s<>\"'`|]{1,300}|LICENSE[\w.-]{0,32}")
LONGEST_NAME = 80
OTHER = "other"  # the hub's identifier of a licence that has no identifier
NO_STATEMENT = ("unknown", "none")
# The Creative Commons licences with "ND" (no derivatives) do not allow to share a changed work.
NO_DERIVATIVES = re.compile(r"\bnd\b|\bno ?deriv")
# The first lines of licence texts that need no lawyer to recognise.
KNOWN_TEXTS = {
    "apache-2.0": re.compile(r"\A\s*Apache License\s+Version 2\.0"),
    "mit": re.compile(r"\A\s*(?:The )?MIT License\b", re.IGNORECASE),
}


@dataclass(frozen=True)
class Licence:
    """All fields are None if the licence is unknown. `name` and `link` belong to licences without an identifier."""

    id: str | None = None
    name: str | None = None
    link: str | None = None

    @property
    def known(self) -> bool:
        return self.id is not None and (self.id != OTHER or self.name is not None or self.link is not None)

    @property
    def title(self) -> str:
        """The licence's name for people; "" if it is unknown."""
        if not self.known:
            return ""
        return self.name or (f"the licence in {self.link}" if self.id == OTHER else str(self.id))

    @property
    def concern(self) -> str:
        """Why a person must think before they publish a changed model. Returns "" if there is no reason."""
        if not self.known:
            return "its licence is unknown"
        if NO_DERIVATIVES.search(re.sub(r"[-_ ]+", " ", f"{self.id} {self.name or ''}".lower())):
            return f"its licence, {self.title}, does not allow to share changed versions"
        return ""


UNKNOWN = Licence()


def stated_licence(front_matter: Mapping[str, Any]) -> Licence:
    """The licence in the front matter of a card. The text may come from anyone, so odd values count as unknown."""
    stated = front_matter.get("license")
    if isinstance(stated, list):  # a card may list several licences; faq-tui does not choose one of them
        stated = stated[0] if len(stated) == 1 else None
    if not isinstance(stated, str) or not ID.fullmatch(stated.strip().lower()):
        return UNKNOWN
    stated = stated.strip().lower()
    if stated in NO_STATEMENT:
        return UNKNOWN
    name, link = front_matter.get("license_name"), front_matter.get("license_link")
    named = sanitize(name.strip(), LONGEST_NAME) if isinstance(name, str) and name.strip() else None
    linked = link.strip() if isinstance(link, str) and LINK.fullmatch(link.strip()) else None
    return Licence(stated, named, linked)


def licence_of_text(name: str, text: str) -> Licence:
    """The licence of a file `name` with the text of a licence. An unknown text is linked, not interpreted."""
    known = next((licence for licence, start in KNOWN_TEXTS.items() if start.search(text)), None)
    return Licence(known) if known else Licence(OTHER, None, name)
