"""Delete the folder of an artefact. The artefact's row in the database stays, because measurements use it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.run.delete_run import disk_bytes
from faq_tui.core.run.run import Run, in_use, lock_owner, locked_folder
from faq_tui.core.run.server_record import live_servers
from faq_tui.core.store.artefacts import Artefact, all_artefacts
from faq_tui.core.store.measurements import all_measurements


@dataclass(frozen=True)
class ArtefactDeletion:
    """What the deletion of an artefact's folder removes, and what it affects."""

    name: str
    folder: Path
    size: int  # bytes on the disk that become free
    sharing: tuple[str, ...]  # the other artefacts that use the same folder
    measurements: int  # the number of held-out texts on which the model was measured; these results stay
    seconds: float  # how long the quantization took


def plan_artefact_deletion(run: Run, artefact: Artefact) -> ArtefactDeletion:
    """Say what `delete_artefact` would remove. Raises FaqError if the folder must not be deleted now."""
    folder = _checked(run, artefact)
    rows = all_artefacts(run.store)
    sharing = tuple(row.name for row in rows.values() if row.folder == artefact.folder and row.name != artefact.name)
    measured = sum(subject == artefact.folder for subject, _ in all_measurements(run.store))
    owner = rows.get(artefact.folder, artefact)
    return ArtefactDeletion(artefact.name, folder, disk_bytes(folder), sharing, measured, owner.seconds)


def delete_artefact(run: Run, artefact: Artefact) -> None:
    """Delete the artefact's folder. A link is removed, but not the folder that it points to.

    Raises FaqError if a job works on the run, if a server uses the folder, or if a file cannot be deleted.
    """
    folder = _checked(run, artefact)
    try:
        with locked_folder(run.folder):
            if folder.is_symlink():
                folder.unlink()
            else:
                shutil.rmtree(folder)
    except OSError as error:
        raise FaqError(
            f"{error.filename or folder} cannot be deleted ({error.strerror}): correct its permissions and delete "
            "the artefact again"
        ) from None


def _checked(run: Run, artefact: Artefact) -> Path:
    owner = lock_owner(run.folder)
    if owner is not None:
        raise in_use(run.folder, owner)
    folder = run.models / artefact.folder
    if folder.parent != run.models or artefact.folder in ("", ".", ".."):
        raise FaqError(f"{folder} is no folder of an artefact, so faq-tui does not delete it")
    if not folder.is_dir():
        raise FaqError(f"{artefact.name} has no folder on the disk any more")
    used = next((server for server in live_servers(run.jobs) if server.folder == artefact.folder), None)
    if used is not None:
        raise FaqError(f"{used.name} is being served{f' at {used.url}' if used.url else ''}: stop its server first")
    return folder
