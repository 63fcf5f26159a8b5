"""Recognise questions about an image, a sound or a video. A text model cannot answer such questions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faq_tui.core.seeds.reasons import AUDIO, IMAGE, VIDEO, ShapeError


@dataclass(frozen=True)
class Media:
    """One kind of media.

    Rows that need this kind of media are skipped and counted under `reason`. `words` names the kind of media in
    errors.
    """

    reason: str
    words: str


KINDS = {
    "image": Media(IMAGE, "an image"),
    "img": Media(IMAGE, "an image"),
    "picture": Media(IMAGE, "an image"),
    "audio": Media(AUDIO, "a sound"),
    "video": Media(VIDEO, "a film"),
}
_ENDINGS = ("", "s", "_path", "_paths", "_url", "_urls", "_file", "_files", "_bytes")
FIELDS = {f"{name}{ending}": media for name, media in KINDS.items() for ending in _ENDINGS}
# for example, the data set MMMU has fields image_1 to image_7
NUMBERED = re.compile(r"(image|img|audio|video)_?\d{1,2}")
PART_TYPES = re.compile(r"(?:input_)?(image|img|audio|video)(?:_\w+)?")

# `<image>`, `[IMG]` and `<ImageHere>` stand for an image if they begin a text or are alone on a line. In other
# places, these tags do not count, because the text may be about such a tag. `<image 1>`, `<|image|>` and
# `<|image_pad|>` always stand for an image.
_NAMES = "image|img|audio|video"
_PLAIN = rf"(?:<({_NAMES})(?:here|placeholder)?>|\[({_NAMES})\])"
PLACEHOLDER = re.compile(
    rf"\A\s*{_PLAIN}|^[ \t]*{_PLAIN}[ \t]*$|<\|?({_NAMES})[_ ]?\d{{1,2}}\|?>"
    rf"|<\|({_NAMES})(?:_(?:pad|start|begin|token|placeholder))?\|>",
    re.IGNORECASE | re.MULTILINE,
)
VISION_START = "<|vision_start|>"


def refuse_media(media: Media | None) -> None:
    """Raise ShapeError if the question needs `media`."""
    if media is not None:
        raise ShapeError(f"needs {media.words}", media.reason)


def media_of_fields(record: Mapping[str, Any]) -> Media | None:
    """The media in a field such as `image` or `videos` of a record or a turn; None if there is none."""
    for name, value in record.items():
        media = _field(name)
        if media is not None and _holds(value):
            return media
    return None


def media_in_part(part: Mapping[str, Any]) -> Media | None:
    """The kind of media in a part of a message; None for a part with text."""
    kind = part.get("type")
    if isinstance(kind, str):
        match = PART_TYPES.fullmatch(kind.lower())
        return KINDS[match[1]] if match else None
    return media_of_fields(part)


def media_in_text(text: str) -> Media | None:
    """The kind of media that a placeholder in the text stands for; None if there is no placeholder."""
    if "<" not in text and "[" not in text:
        return None
    for match in PLACEHOLDER.finditer(text):
        name = next(name for name in match.groups() if name).lower()
        if f"</{name}>" not in text.lower():  # if the text also has the closing tag, it is HTML
            return KINDS[name]
    return KINDS["image"] if VISION_START in text else None


def _field(name: object) -> Media | None:
    if not isinstance(name, str):
        return None
    low = name.lower()
    match = NUMBERED.fullmatch(low)
    return KINDS[match[1]] if match else FIELDS.get(low)


def _holds(value: Any, depth: int = 0) -> bool:
    """True if the field contains text or bytes, or a list or an object that contains text or bytes."""
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list | tuple) and depth < 3:
        return any(_holds(item, depth + 1) for item in value)
    if isinstance(value, dict) and depth < 3:
        return any(_holds(item, depth + 1) for item in value.values())
    return value is not None and not isinstance(value, bool | int | float | list | tuple | dict)
