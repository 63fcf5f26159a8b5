"""Choose the files of an artefact's folder that are published, and keep out what belongs to this machine alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import read_json
from faq_tui.core.base.secrets import Secrets

# Half-written files, files of editors and of Python, and folders such as .cache.
HIDDEN = re.compile(r"(?:^|/)(?:\.|__pycache__/)|\.(?:part|half|tmp|lock|incomplete)$|~$")
MOST_CONFIG = 1 << 20  # a longer JSON file has a vocabulary, and no paths
PATH_KEY = re.compile(r"path|file|folder|cache|dir(?:ectory)?(?:_|$)", re.IGNORECASE)
ABSOLUTE = re.compile(r"[/~]|[A-Za-z]:[\\/]|\\\\")
NAMED_OR_PATH = "name_or_path"  # a hub id, or the folder from which a library loaded the model
TEXTS = (".json", ".jsonl", ".jinja", ".md", ".py", ".txt", ".yaml", ".yml")
HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{34}\b")


def published_files(folder: Path) -> dict[str, Path | str]:
    """The files of an artefact. A file with paths of this machine becomes a text without them.

    Raises UsageError if the folder has a link to a file outside of it: a person may not know that this file is
    published, too.
    """
    files: dict[str, Path | str] = {}
    whole = folder.resolve()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if HIDDEN.search(name) or not path.is_file():
            continue
        if not path.resolve().is_relative_to(whole):
            raise UsageError(
                f"{path} is a link to a file outside of the artefact's folder: put the file itself there, or remove "
                "the link"
            )
        config = _without_paths(path) if path.suffix == ".json" else None
        files[name] = path if config is None else config
    return files


def as_json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def check_secrets(repo_id: str, files: Mapping[str, Path | str], secrets: Secrets) -> None:
    """Raise UsageError if a text holds a token of the hub, or a secret of the run."""
    for name, file in files.items():
        if name.endswith(TEXTS) and any(_has_secret(line, secrets) for line in _lines(file)):
            raise UsageError(
                f"the file {name} of {repo_id} holds a token or a key of yours: remove it from the file, so that it "
                "is not published"
            )


def _lines(file: Path | str) -> Iterable[str]:
    if isinstance(file, str):
        yield from file.splitlines()
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        yield from lines


def _has_secret(line: str, secrets: Secrets) -> bool:
    return any(secret in line for secret in secrets.values) or HUB_TOKEN.search(line) is not None


def _without_paths(path: Path) -> str | None:
    """The text of a configuration without paths of this machine. None if it has none, or is no configuration."""
    if path.stat().st_size > MOST_CONFIG:
        return None
    try:
        body = read_json(path)
    except ValueError:
        return None
    public = _public(body)
    return as_json(public) if public != body else None


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public(part) for key, part in value.items() if not _is_path(key, part)}
    return [_public(part) for part in value] if isinstance(value, list) else value


def _is_path(key: str, value: Any) -> bool:
    if not isinstance(value, str) or not PATH_KEY.search(key):
        return False
    return ABSOLUTE.match(value) is not None or (key.endswith(NAMED_OR_PATH) and value.startswith("."))
