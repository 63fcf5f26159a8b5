"""Upload the repositories of a plan through the package huggingface_hub."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faq_tui
from faq_tui.core.base.errors import EndpointError, FaqError, UsageError
from faq_tui.core.publishing.faults import AGAIN, BAD_TOKEN, NO_TOKEN, hub_fault
from faq_tui.core.publishing.plan import PushPlan
from faq_tui.core.publishing.repositories import Repository

WEIGHTS = (".safetensors", ".bin", ".gguf", ".pth", ".parquet", ".jsonl")


def check_concerns(plan: PushPlan, private: bool, confirmed: bool) -> None:
    """Raise UsageError if the repositories would become public although the plan has concerns."""
    if plan.concerns and not (private or confirmed):
        raise UsageError(
            f"{'; '.join(plan.concerns)}: if you may publish it, add --yes; if not, add --private, so that only you "
            "can see the repository"
        )


def push(
    plan: PushPlan, private: bool, begin: Callable[[Repository], None], warn: Callable[[str], None]
) -> list[str]:
    """Upload the repositories, and return their URLs. Each one is created if it does not exist.

    `begin` is called before the upload of each repository, and `warn` with each warning of the hub about a card.

    The token comes from the environment or from the hub's login. All checks are made before the first file is sent.
    After an interruption, call the function again: it sends only what the hub lacks. Raises EndpointError if the hub
    cannot be reached or refuses the token, and UsageError if a repository belongs to something else.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined, unused-ignore]

    first = plan.repositories[0].id
    stamps = {repository.id: repository.stamps for repository in plan.repositories}
    with _in_words("", first):  # a login may be renewed at the hub
        token = get_token()
    if not token:
        raise UsageError(NO_TOKEN)
    if not token.isascii():  # a header of HTTP cannot have it
        raise UsageError(BAD_TOKEN)
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi(token=token, library_name="faq-tui", library_version=faq_tui.__version__)
    with _in_words(token, first):
        _check_role(api.whoami())
    missing = []
    for repository in plan.repositories:
        with _in_words(token, repository.id):
            missing += [] if _exists(api, repository, private) else [repository]
    for repository in missing:
        with _in_words(token, repository.id):
            api.create_repo(repository.id, repo_type=repository.kind, private=private, exist_ok=True)
    for repository in plan.repositories:
        begin(repository)
        with _in_words(token, repository.id):
            _upload(api, repository, plan.artefact.name, warn)
        _check_unchanged(repository, stamps[repository.id])
    return [f"{constants.ENDPOINT}/{repository.address}" for repository in plan.repositories]


def _check_unchanged(repository: Repository, before: dict[str, tuple[int, ...]]) -> None:
    """Raise FaqError if a file was written during the upload: the repository may then mix two artefacts."""
    for name, stamp in repository.stamps.items():
        if stamp != before[name]:
            raise FaqError(
                f"{name} of {repository.id} changed on this machine during the upload, so the hub may have parts of "
                f"two versions: {AGAIN}"
            )


@contextmanager
def _in_words(token: str, repo_id: str) -> Iterator[None]:
    try:
        yield
    except FaqError:
        raise
    except Exception as error:  # noqa: BLE001  the hub's library raises errors of many classes
        raise hub_fault(error, token, repo_id) from None


def _check_role(who: dict[str, Any]) -> None:
    role = ((who.get("auth") or {}).get("accessToken") or {}).get("role")
    if role == "read":
        raise EndpointError("the token can only read: make a token with write access at the hub, and set HF_TOKEN")


def _exists(api: Any, repository: Repository, private: bool) -> bool:
    """True if the repository exists and may be written. Raises UsageError if it must not be written."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.repo_info(repository.id, repo_type=repository.kind)
    except RepositoryNotFoundError:
        return False
    if private and not info.private:
        raise UsageError(
            f"{repository.id} exists and is public: make it private at the hub, choose another name, or leave out "
            "--private"
        )
    names = [file.rfilename for file in info.siblings or []]
    if repository.marker not in names and any(name.endswith(WEIGHTS) for name in names):
        raise UsageError(f"{repository.id} exists and was not made by faq-tui: choose another name")
    return True


def _upload(api: Any, repository: Repository, artefact: str, warn: Callable[[str], None]) -> None:
    # The hub's library prints the hub's warnings as they are, and they may hold control characters.
    with (
        tempfile.TemporaryDirectory(prefix="faq-tui-push-") as temporary,
        warnings.catch_warnings(record=True) as heard,
    ):
        folder = Path(temporary)
        repository.write(folder)
        api.upload_folder(
            repo_id=repository.id,
            repo_type=repository.kind,
            folder_path=folder,
            commit_message=f"Upload {artefact} by faq-tui {faq_tui.__version__}",
            delete_patterns=repository.replaced or None,
        )
    for one in heard:
        warn(" ".join(str(one.message).split()))
    listed = api.list_repo_tree(repository.id, repo_type=repository.kind, recursive=True)
    stored = {one.path: getattr(one, "size", None) for one in listed}
    missing = [name for name, length in repository.sizes.items() if stored.get(name) != length]
    if missing:
        raise FaqError(
            f"after the upload, the hub does not have {missing[0]} of {repository.id} as it is here: {AGAIN}"
        )
