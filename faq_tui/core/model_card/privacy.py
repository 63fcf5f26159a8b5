"""Remove the folders of this machine from texts and manifests that may be published."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

# An absolute path with at least one folder. The name after the last slash is kept.
PATH = re.compile(r"(?<![\w.:/~])(?:~[\w.-]*)?/(?:[^\s/()\"'`<>|]+/)+(?P<name>[^\s/()\"'`<>|]*)")


def without_folders(text: str) -> str:
    """The text with only the last part of each absolute path. Relative paths, URLs and hub ids do not change."""
    return PATH.sub(lambda match: match["name"], text)


def public_value(value: Any) -> Any:
    """A value of JSON without the folders of absolute paths. A text that begins like a path is taken as one path."""
    if isinstance(value, str):
        whole = value.startswith(("/", "~")) and "\n" not in value  # the names of its folders may contain spaces
        return PurePosixPath(value).name if whole else without_folders(value)
    if isinstance(value, dict):
        return {key: public_value(part) for key, part in value.items()}
    if isinstance(value, list):
        return [public_value(part) for part in value]
    return value
