"""Keep secrets, such as API keys, out of everything that is stored or shown."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

MASK = "***"
SECRET_LENGTH = 8  # a key with fewer characters is a placeholder such as "EMPTY", not a secret
MOST_SCRUBBED = 1 << 30  # a file with more bytes holds weights or images, and no output of a program
T = TypeVar("T")


def without_credentials(url: str) -> str:
    """The URL without user, password, query and fragment, because each of these parts may be secret.

    A text without "://" is returned unchanged.
    """
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a URL that cannot be read)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Secrets:
    """A set of secrets. Values with fewer than SECRET_LENGTH characters are ignored."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        # a secret may be a part of another one, so the longest is replaced first
        self.values = tuple(sorted({value for value in values if len(value) >= SECRET_LENGTH}, key=len, reverse=True))

    def masked(self, text: str) -> str:
        """The text with MASK in the place of each secret."""
        for secret in self.values:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def masked_in(self, value: T) -> T:
        """A value of JSON. The secrets in all of its texts and keys are masked. Raises RecursionError."""
        return self._tree(value) if self.values else value

    def _tree(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, dict):
            return {self._tree(key): self._tree(inner) for key, inner in value.items()}
        return [self._tree(inner) for inner in value] if isinstance(value, list) else value

    def split(self, text: str) -> tuple[str, str]:
        """The masked beginning of a text that still grows, and the end that may be the beginning of a secret."""
        held = 0
        for secret in self.values:
            most = min(len(secret) - 1, len(text))
            held = max(held, next((size for size in range(most, 0, -1) if text.endswith(secret[:size])), 0))
        masked = self.masked(text)
        # If a whole secret overlaps the end, it is masked, and nothing is held back.
        if not held or not masked.endswith(text[-held:]):
            return masked, ""
        return masked[:-held], masked[-held:]

    def scrub(self, place: Path) -> None:
        """Overwrite each secret in a file, or in all files of a folder, with as many asterisks.

        The files keep their lengths, so other programs may append to them meanwhile. Links are not followed. A file
        that cannot be read or written is left as it is.
        """
        if self.values:
            for path in [place] if place.is_file() else sorted(place.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    self._scrub_file(path)

    def _scrub_file(self, path: Path) -> None:
        try:
            with path.open("r+b") as file:
                if os.fstat(file.fileno()).st_size > MOST_SCRUBBED:
                    return
                data = file.read()
                for secret in map(str.encode, self.values):
                    at = data.find(secret)
                    while at >= 0:
                        file.seek(at)
                        file.write(b"*" * len(secret))
                        at = data.find(secret, at + len(secret))
        except OSError:
            return


NO_SECRETS = Secrets()
