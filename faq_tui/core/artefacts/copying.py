"""Copy an artefact's folder to another place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from faq_tui.core.artefacts.card import ArtefactCard
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.files import full_disk, full_disk_is_clear


def copy_artefact(card: ArtefactCard, destination: Path) -> Path:
    """Copy the folder of an artefact, and return the copy's path.

    If `destination` is an existing folder, the copy gets the artefact's name inside it. The copy appears only when it
    is complete. Raises UsageError if the copy would replace something, and FaqError if it cannot be written.
    """
    place = _place_of(card, destination)
    half = place.with_name(f".{place.name}.{os.getpid()}.half")
    try:
        if shutil.disk_usage(place.parent).free < card.size:
            raise full_disk(place)
        with full_disk_is_clear(place):
            shutil.copytree(card.folder, half)
            half.rename(place)
    except shutil.Error as error:  # the error lists every file that could not be copied
        raise FaqError(f"{place} cannot be written: {str(error)[:200]}") from None
    except OSError as error:
        raise FaqError(f"{place} cannot be written ({error.strerror}): choose another folder") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return place


def _place_of(card: ArtefactCard, destination: Path) -> Path:
    try:
        destination = destination.expanduser().absolute()
        place = destination / card.artefact.name if destination.is_dir() else destination
        if place.exists() or place.is_symlink():
            raise UsageError(f"{place} exists already: choose another name")
        if not place.parent.is_dir():
            raise UsageError(f"there is no folder {place.parent}: create it first")
        if place.resolve().is_relative_to(card.folder.resolve()):
            raise UsageError(f"{place} is inside the artefact itself: choose another folder")
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{str(destination)[:200]!r} cannot be used as a folder: {error}") from None
    return place
