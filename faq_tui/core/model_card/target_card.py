"""What the card of an artefact repeats from the target: hub id, licence, languages, task. No network is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.model_card.front_matter import read_front_matter
from faq_tui.core.model_card.licence import UNKNOWN, Licence, licence_of_text, stated_licence
from faq_tui.core.models.model_files import ModelFiles
from faq_tui.core.models.target import local_target
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED

LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})?|multilingual|code")
MOST_LANGUAGES = 100
TASK = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
TEXT_GENERATION = "text-generation"
# The hub's cache keeps a model in a folder such as models--Qwen--Qwen3-8B/snapshots/0123abcd.
CACHED = re.compile(r"models--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+)")
CARD = "README.md"
MOST_LICENCE = 4096  # number of bytes of a licence file that are read


@dataclass(frozen=True)
class TargetCard:
    """The facts about the target that a published card repeats."""

    name: str  # a hub id, or the name of a folder; never a path
    hub_id: str | None = None  # None if the target is a folder that was not downloaded from the hub
    licence: Licence = UNKNOWN
    languages: tuple[str, ...] = ()
    task: str = TEXT_GENERATION


def target_card(run: Run) -> TargetCard:
    """The facts about the run's target that are on this machine.

    The target's own card and its licence file may come from anyone: values that do not have the usual form are
    ignored.
    """
    name = run.settings.target.model
    if name == EMBEDDED:
        from faq_tui.core.embedded import gguf_file

        return TargetCard(gguf_file.HUB_ID, gguf_file.HUB_ID, Licence(gguf_file.LICENCE), gguf_file.LANGUAGES)
    try:
        folder = local_target(run)
    except UsageError:  # the folder was moved or deleted; the artefact still exists
        return TargetCard(Path(name).name)
    if folder is None:
        return _facts(name, name, _cached_card(name), None)
    hub_id = _hub_id_of(folder)
    return _facts(hub_id or folder.name, hub_id, folder / CARD, folder)


def with_base_model(target: TargetCard, hub_id: str) -> TargetCard:
    """The card of a target that is a folder, with the hub id that a person gives.

    If the folder does not state a licence, the licence of the cached card of this hub id is used.
    """
    stated = _facts(hub_id, hub_id, _cached_card(hub_id), None)
    if not target.licence.known:
        return stated
    return replace(target, name=hub_id, hub_id=hub_id, languages=target.languages or stated.languages)


def _facts(name: str, hub_id: str | None, card: Path | None, folder: Path | None) -> TargetCard:
    stated = read_front_matter(card) if card is not None else {}
    licence = stated_licence(stated)
    if not licence.known and folder is not None:
        licence = _licence_file(folder) or licence
    return TargetCard(name, hub_id, licence, _languages(stated), _task(stated))


def _cached_card(hub_id: str) -> Path | None:
    files = ModelFiles.cached(hub_id)
    return files.paths.get(CARD) if files is not None else None


def _hub_id_of(folder: Path) -> str | None:
    """The hub id of a folder in the hub's cache; None for any other folder."""
    match = CACHED.fullmatch(folder.parent.parent.name) if folder.parent.name == "snapshots" else None
    return f"{match['owner']}/{match['name']}" if match else None


def _licence_file(folder: Path) -> Licence | None:
    for path in sorted(folder.glob("LICENSE*")):
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                return licence_of_text(path.name, file.read(MOST_LICENCE).decode("utf-8", errors="replace"))
        except OSError:
            continue
    return None


def _languages(stated: Mapping[str, Any]) -> tuple[str, ...]:
    listed = stated.get("language")
    names = listed if isinstance(listed, list) else [listed]
    fit = (name for name in names if isinstance(name, str) and LANGUAGE.fullmatch(name))
    return tuple(dict.fromkeys(fit))[:MOST_LANGUAGES]


def _task(stated: Mapping[str, Any]) -> str:
    task = stated.get("pipeline_tag")
    return task if isinstance(task, str) and TASK.fullmatch(task) else TEXT_GENERATION
