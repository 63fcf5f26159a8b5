"""Facts about a model's tokenizer and chat template.

A worker process tries the tokenizer and the template on short conversations, and the results are cached.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped, UsageError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.run.run import Run
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

VERSION = 1  # Increase this number if new code finds other facts in the same files.

# the file extensions of files from which a tokenizer and a template are loaded
SUFFIXES = (".json", ".jinja", ".model", ".txt", ".tiktoken", ".py")
INDEX = ".index.json"  # the end of the names of files that only list tensors

Roles = tuple[str, ...]


@dataclass(frozen=True)
class ShapeFacts:
    """The facts about one conversation.

    Each field of type str is "" if the template can write the conversation; otherwise it holds the reason for the
    failure.
    """

    question: str  # the result for the conversation without an answer
    plain: str  # the result for the conversation with an answer
    reasoned: str  # the result for the conversation with reasoning and an answer
    prompt: str  # the result for the conversation that ends with the beginning of the model's turn
    folded: bool  # True if a system turn becomes the beginning of the user's next turn
    joined: bool  # True if adjacent turns of the same role become one turn
    parts: bool  # True if the template reads only messages whose content is a list of parts
    largest_id: int  # the largest token id in the rendered texts; -1 if there are none


@dataclass(frozen=True)
class TokenizerFacts:
    """The facts about a tokenizer and its chat template."""

    specials: tuple[str, ...]  # special tokens, which no text may contain
    eos: str | None  # the end token
    shapes: dict[Roles, ShapeFacts]
    # pairs (token, id) of the first ordinary tokens that have no row in the embedding
    beyond: tuple[tuple[str, int], ...]
    beyond_count: int  # the number of all ordinary tokens that have no row in the embedding

    # pairs (token, id) of the first special tokens that have no row in the embedding
    special_beyond: tuple[tuple[str, int], ...]
    # triples (name, token, id) of named tokens without a row in the embedding, such as ("eos_token", "</s>", 32000)
    named_beyond: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class ModelFolder:
    """A model whose tokenizer is checked."""

    key: str  # the setting that names the model, such as target.model
    name: str
    folder: Path
    trusted: bool  # True if the Python code in the folder may run
    rows: int | None  # the number of rows of the model's embedding; None if unknown


def tokenizer_facts(
    run: Run, model: ModelFolder, shapes: Sequence[Roles], cancel: CancelToken, log: Path
) -> TokenizerFacts:
    """Try the tokenizer and the chat template on conversations with the roles in `shapes`.

    The trial takes about three seconds. The facts are stored in the run's cache. If the files change, the trial is
    repeated. Raises UsageError if the tokenizer cannot be loaded, or if the template takes too much time or memory.
    """
    key = digest(VERSION, _hash_of_files(model.folder), model.trusted, model.rows, sorted(shapes), _installed())
    path = run.cache / f"tokenizer-{key[:16]}.json"
    body = _IN_PROCESS.get(key) or _stored(path)
    if body is None:
        body = _tried(run, model, shapes, cancel, log)
        with suppress(OSError, FaqError), atomic_text(path) as file:
            json.dump(body, file)
    _IN_PROCESS[key] = body
    return _facts(body, sorted(shapes))


_IN_PROCESS: dict[str, dict[str, Any]] = {}


def _tried(run: Run, model: ModelFolder, shapes: Sequence[Roles], cancel: CancelToken, log: Path) -> dict[str, Any]:
    spec = {
        "key": model.key,
        "name": model.name,
        "path": str(model.folder),
        "trust_remote_code": model.trusted,
        "rows": model.rows,
        "shapes": sorted(shapes),
    }
    messages: list[dict[str, Any]] = []
    try:
        run_worker("check_tokenizer", spec, messages.append, cancel, log, without_keys(run.settings))
    except (UsageError, Stopped):
        raise
    except FaqError as error:  # the worker process failed; for example, the operating system ended it
        raise UsageError(
            f"the tokenizer and the chat template of {model.key} {model.name} cannot be tried ({error}): run the "
            "same command again; if it fails again, use the files of the model's publisher"
        ) from None
    cancel.check()  # after a request to stop, the worker process has tried only some of the shapes
    return messages[0]


def _facts(body: dict[str, Any], shapes: Sequence[Roles]) -> TokenizerFacts:
    names = ShapeFacts.__dataclass_fields__
    return TokenizerFacts(
        specials=tuple(body["specials"]),
        eos=body["eos"],
        shapes={
            roles: ShapeFacts(**{name: found[name] for name in names})
            for roles, found in zip(shapes, body["shapes"], strict=True)
        },
        beyond=tuple((str(token), int(number)) for token, number in body["beyond"]),
        beyond_count=int(body["beyond_count"]),
        special_beyond=tuple((str(token), int(number)) for token, number in body["special_beyond"]),
        named_beyond=tuple((str(name), str(token), int(number)) for name, token, number in body["named_beyond"]),
    )


def _stored(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        _facts(body, [(str(number),) for number in range(len(body["shapes"]))])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(body)


def _hash_of_files(folder: Path) -> str:
    """A hash of the files from which a tokenizer and its chat template are made."""
    templates = folder / "additional_chat_templates"
    found = [path for place in (folder, templates) if place.is_dir() for path in place.iterdir()]
    parts = [
        (path.name, _hash_of(path, path.stat().st_size, path.stat().st_mtime_ns))
        for path in sorted(found)
        if path.suffix in SUFFIXES and not path.name.endswith(INDEX) and path.is_file()
    ]
    return digest(parts)


@lru_cache(maxsize=1024)
def _hash_of(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001  a key of the cache
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=1)
def _installed() -> list[str]:
    return [metadata.version(name) for name in ("transformers", "tokenizers", "jinja2")]
