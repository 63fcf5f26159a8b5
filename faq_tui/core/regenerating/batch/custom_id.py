"""The `custom_id` of a request in a batch file. The answer has the same `custom_id`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from faq_tui.core.base.hashing import digest

LONGEST = 64  # maximum number of characters of a custom_id, set by OpenAI
LONGEST_NAME = 24  # maximum number of characters of the source's name in a custom_id
_ID = re.compile(r"faq-([\w.-]{1,24})-([0-9a-f]{12})-([1-9][0-9]?)-([0-9a-f]{16})", re.ASCII)


@dataclass(frozen=True)
class CustomId:
    """Identifies a candidate. `source_hash` is the hash of the settings with which the answer was requested.

    `name` only helps a person to recognise the source. `name` is not needed to identify the candidate, because
    sources with equal settings share their candidates.
    """

    name: str  # the result of `plain_name`
    seed_id: str
    number: int  # 1-based
    source_hash: str

    def __str__(self) -> str:
        return f"faq-{self.name}-{self.seed_id}-{self.number}-{self.source_hash}"


def plain_name(source: str) -> str:
    """The source's name for file names and ids: at most 24 ASCII letters, digits, `_` and `-`.

    If the name is too long or has other characters, the result ends with a hash of the name. Therefore two sources
    never get the same name.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", source)
    return plain if plain == source and 0 < len(plain) <= LONGEST_NAME else f"{plain[:17]}-{digest(source, length=6)}"


def parse_custom_id(text: str) -> CustomId | None:
    """Split a `custom_id` into its parts. Returns None if the text is not a `custom_id` of faq-tui."""
    match = _ID.fullmatch(text)
    return CustomId(match[1], match[2], int(match[3]), match[4]) if match else None
