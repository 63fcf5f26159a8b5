"""Check which model each source's server has loaded, and whether that model belongs to the target's family.

A server may use any name for its model. vLLM's list of models also contains the name of the loaded model (`root`).
The list of llama.cpp's server contains the number of parameters (`meta.n_params`).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import atomic_text, read_json
from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints import Client
from faq_tui.core.endpoints.model_list import models_of
from faq_tui.core.family.known import bare_name
from faq_tui.core.family.verdict import FAMILY, Kinship, ModelProfile, kinship
from faq_tui.core.models.model_files import ModelFiles
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Source
from faq_tui.core.settings.source import LOCAL, TARGET

TIMEOUT_S = 5.0
MAX_NAME = 512  # longest name of a model in characters
MAX_PARAMETERS = 10**15  # a larger number of parameters is treated as a mistake of the server


def served_name(run: Run, source: Source) -> str:
    """The model that the server last reported as loaded.

    If the server has not reported a model, the result is the name in the settings.
    """
    name = _reported(run, source).get("root")
    return name if isinstance(name, str) and name else source.model


def _reported(run: Run, source: Source) -> dict[str, Any]:
    """The stored facts that the server last reported about the model: `root` and `parameters`."""
    try:
        facts = read_json(_path(run)).get(_key(source))
    except (OSError, ValueError, AttributeError):
        return {}
    return facts if isinstance(facts, dict) else {}


def ask_servers(run: Run) -> None:
    """Ask every source's server which model it loaded and how large this model is, and store the answers."""
    facts = {
        _key(source): reported
        for source in run.settings.sources.values()
        if source.base_url.startswith("http") and (reported := asyncio.run(_ask(source)))
    }
    if facts:
        with atomic_text(_path(run)) as file:
            json.dump(facts, file)


async def _ask(source: Source) -> dict[str, Any]:
    try:
        async with Client(source) as client, asyncio.timeout(TIMEOUT_S):
            listed = models_of(await client.get_json("/models")) or {}
    except Exception:  # noqa: BLE001  another check reports the server's fault
        return {}
    model = listed.get(source.model, {})
    root, meta = model.get("root"), model.get("meta")
    facts: dict[str, Any] = {"root": root[:MAX_NAME]} if isinstance(root, str) and root else {}
    parameters = meta.get("n_params") if isinstance(meta, dict) else None
    if isinstance(parameters, int) and 1 < parameters < MAX_PARAMETERS:
        facts["parameters"] = parameters
    return facts


def _path(run: Run) -> Path:
    return run.cache / "served.json"


def _key(source: Source) -> str:
    return digest(source.base_url, source.model)


SELF = "self"
SUGGESTED = 3


@dataclass(frozen=True)
class Finding:
    """The result of the check for one source of the run."""

    source: str  # the source's name in the settings
    model: str  # name of the loaded model, or the name in the settings if the server reports no name
    kinship: Kinship
    by_settings: bool = False  # True if the settings say that this source is the target itself

    @property
    def badge(self) -> str:
        """The verdict in one to three words, for the header."""
        if self.kinship.itself:
            return "itself"
        return self.kinship.verdict if self.kinship.known else "family unknown"


def check_sources(run: Run) -> list[Finding]:
    """A finding for each source, in the order of the settings."""
    target = target_profile(run)
    findings = []
    for name, source in run.settings.sources.items():
        by_settings = _is_target(run, name, source)
        model = target.name if by_settings else served_name(run, source)
        parameters = _reported(run, source).get("parameters")
        reported = parameters if isinstance(parameters, int) else None
        profile = ModelProfile(model, _files(run, source.files or model), reported)
        findings.append(Finding(name, model, kinship(target, profile), by_settings))
    return findings


def badges(run: Run) -> dict[str, str]:
    """Maps each source's name to its badge. The badge is "" if the source is the target itself."""
    return {f.source: "" if f.kinship.itself else f.badge for f in check_sources(run)}


def is_quick(run: Run) -> bool:
    """True if the check takes little time.

    If this machine has the tokenizers of two or more models, the check compares these tokenizers, which takes about
    0.5 s.
    """
    sources = run.settings.sources.values()
    names = [target_profile(run).name, *(source.files or served_name(run, source) for source in sources)]
    known = [_files(run, name) for name in dict.fromkeys(names)]
    return sum(files is not None and "tokenizer.json" in files.paths for files in known) < 2


def warnings(run: Run) -> list[str]:
    """A warning for each source that does not belong to the target's family."""
    advice = suggestions(run)
    instead = f"; elders of {target_profile(run).title}: {', '.join(advice)}" if advice else ""
    return [
        f"source {f.source}: {f.model} {_words(f.kinship)} ({'; '.join(f.kinship.reasons)}){instead}"
        for f in check_sources(run)
        if f.kinship.verdict != FAMILY
    ]


def suggestions(run: Run) -> list[str]:
    """Hub ids of larger members of the target's family, largest first."""
    target = target_profile(run)
    if target.family is None:
        return []
    elders, own = target.family.elders, bare_name(target.name)
    size = target.billions or next((billions for name, billions in elders if bare_name(name) == own), 0.0)
    return [name for name, billions in elders if billions > size][:SUGGESTED]


def target_profile(run: Run) -> ModelProfile:
    name = run.settings.target.model
    if name == EMBEDDED:
        from faq_tui.core.embedded.gguf_file import MODEL_NAME

        return ModelProfile(MODEL_NAME)
    return ModelProfile(name, _files(run, name))


def _is_target(run: Run, name: str, source: Source) -> bool:
    """True if the source is the target.

    A source is the target if its name is `self`, if it loads the target on this machine, or if the source and the
    target are both "embedded".
    """
    if name == SELF or (source.base_url, source.model) == (LOCAL, TARGET):
        return True
    return run.settings.target.model == EMBEDDED and source.base_url == EMBEDDED


def _files(run: Run, name: str) -> ModelFiles | None:
    """The model files of a folder, or of a hub id in the hub's cache; None if the files are not on this machine."""
    try:
        folder = run.resolve(name)
        if folder.is_dir():
            return ModelFiles.of_folder(folder)
    except (OSError, UsageError):  # the name is not a valid path
        return None
    return ModelFiles.cached(name) if name.count("/") == 1 and not Path(name).is_absolute() else None


def _words(kinship: Kinship) -> str:
    if not kinship.known:
        return "is of an unknown family"
    if kinship.verdict == FAMILY:
        return "is of the target's family"
    return f"is not of the target's family: {kinship.verdict}"
