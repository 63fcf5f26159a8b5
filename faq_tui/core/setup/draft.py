"""The answers about a new run, and the run that is made from them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from faq_tui.core.base.errors import UsageError, system_reason
from faq_tui.core.endpoints.remembered import stored_in
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Seeds, parse_settings
from faq_tui.core.settings.recipe import DEFAULT_METHOD
from faq_tui.core.settings.write import Choices, init_text, write_settings
from faq_tui.core.store import Store

Origin = Literal["server", "self", "none"]
USUAL_SEEDS = Seeds(path="starter")  # holds the default numbers of seeds


@dataclass(frozen=True)
class Draft:
    """The answers that were given so far.

    `origin` says which model regenerates the answers: a larger model on a server, the target itself on this machine,
    or none. `count` and `heldout` are numbers of seeds. If `group_size` is None, the group size is chosen to fit the
    target.

    If `short` is True, the run makes only two models and measures fewer tokens than by default, because this machine
    has no GPU.

    `window` and `rate` are facts about the server and no answers: the largest number of tokens of prompt and answer
    together, and the tokens per second of one request. They are None if they are not known.
    """

    target: str = EMBEDDED
    seeds: str = ""
    origin: Origin = "server"
    url: str = ""
    model: str = ""
    key_env: str = ""
    method: str = DEFAULT_METHOD
    bits: int = 4
    group_size: int | None = None
    count: int = USUAL_SEEDS.count
    heldout: int = USUAL_SEEDS.heldout
    judge_url: str = ""
    judge_model: str = ""
    window: int | None = None
    rate: float | None = None
    short: bool = False


def draft_text(draft: Draft) -> str:
    """The commented faq.toml of the draft. Raises UsageError if an answer is invalid."""
    text = _text(draft)
    parse_settings(text, "the settings")
    return text


def _text(draft: Draft) -> str:
    server = draft.origin == "server"
    return init_text(
        Choices(
            draft.target,
            draft.seeds,
            elder_url=draft.url if server else None,
            elder_model=draft.model if server else None,
            elder_key_env=(draft.key_env or None) if server else None,
            judge_url=draft.judge_url or None,
            judge_model=draft.judge_model or None,
            itself=draft.origin == "self",
            count=draft.count,
            heldout=draft.heldout,
            method=draft.method,
            bits=draft.bits,
            group_size=draft.group_size,
            short=draft.short,
        )
    )


@contextmanager
def draft_run(draft: Draft) -> Iterator[Run]:
    """A run of the draft in a temporary folder, with a database in memory that holds only the server's window.

    The checks of `faq-tui doctor` can use this run.

    Raises UsageError if an answer is invalid.
    """
    settings = parse_settings(_text(draft), "the settings")
    with tempfile.TemporaryDirectory(prefix="faq-tui-draft-") as folder:
        store = Store(Path(":memory:"))
        try:
            if draft.window is not None:
                for source in settings.sources.values():
                    stored_in(store, source.base_url, source.model).described("", draft.window)
            yield Run(Path(folder), settings, store)
        finally:
            store.close()


def checked_folder(name: str, here: Path) -> Path:
    """The folder of the new run.

    A relative `name` is a path from the folder `here`. Raises UsageError if a run cannot be created in the named
    folder.
    """
    if not name.strip() or not name.isprintable():
        raise UsageError("type a name for the run's folder, for example my-run")
    try:
        folder = (here / Path(name.strip()).expanduser()).absolute()
        if (folder / "faq.toml").exists():
            raise UsageError(f"{folder} is a run already: choose another folder")
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise UsageError(f"{existing} is a file, but a run is a folder: choose another folder")
    except (OSError, RuntimeError, ValueError) as error:
        reason = system_reason(error)
        raise UsageError(f"{name.strip()!r} cannot be a folder ({reason}): choose another name") from None
    return folder


def create_run(draft: Draft, folder: Path) -> Path:
    """Write faq.toml into `folder`, and return its path. Raises UsageError if the folder cannot be written."""
    try:
        return write_settings(folder, draft_text(draft))
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({system_reason(error)}): choose another folder") from None
