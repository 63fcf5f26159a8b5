"""Plan an upload: check what can be checked without a network, and list the files of both repositories."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from faq_tui.core.artefact_queue import queue_of
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.shell import command_line
from faq_tui.core.export import CalibrationSet
from faq_tui.core.model_card.calibration import calibration_of
from faq_tui.core.model_card.evidence import evidence_lines
from faq_tui.core.model_card.files import is_own_card
from faq_tui.core.model_card.privacy import public_value
from faq_tui.core.model_card.target_card import CARD, TargetCard, target_card, with_base_model
from faq_tui.core.model_card.text import ModelCardFacts, model_card
from faq_tui.core.models.dense import format_of_folder
from faq_tui.core.models.hub import fetch_card
from faq_tui.core.publishing.contents import as_json, check_secrets, published_files
from faq_tui.core.publishing.data_card import data_card, data_file, licence_concern, provenance
from faq_tui.core.publishing.repositories import DATA_SET, MODEL, Repository
from faq_tui.core.quantizing.output import NAME, read_manifest
from faq_tui.core.quantizing.servable import check_servable, serve_commands
from faq_tui.core.report.document import document
from faq_tui.core.run.run import Run
from faq_tui.core.settings.secrets import secrets_of_run
from faq_tui.core.status import changed_stage
from faq_tui.core.store.artefacts import Artefact, all_artefacts

CALIBRATION_SUFFIX = "-calibration"  # user/name-calibration is the data set of the model user/name
PROVENANCE = "provenance.json"
NOT_MADE = {
    "stale": "was made with other settings or from another calibration set: run `{command}` first",
    "failed": "could not be made: {why}",
    "stopped": "is not complete: run `{command}` first",
    "waiting": "is not made yet: run `{command}` first",
    "no set": "is not made yet, because its calibration set is missing: run `{command}` first",
}


@dataclass(frozen=True)
class PushPlan:
    """The repositories in the order of their upload. `concerns` are reasons to think before they become public."""

    artefact: Artefact
    repositories: tuple[Repository, ...]
    concerns: tuple[str, ...]


def plan_push(
    run: Run, name: str, repo_id: str, with_calibration: bool = False, base_model: str | None = None
) -> PushPlan:
    """Plan the upload of the artefact `name` to the repository `repo_id`.

    `base_model` is the hub id of the target, for a target that is a folder. Raises UsageError if a name is wrong or
    the artefact is missing or stale, and FaqError if its folder is damaged.
    """
    check_name(repo_id)
    if base_model is not None:
        check_name(base_model)
    if with_calibration:
        check_name(f"{repo_id}{CALIBRATION_SUFFIX}")
    artefact = find_artefact(run, name)
    folder = run.models / artefact.folder
    check_servable(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise FaqError(f"the manifest of {name} cannot be read: quantize it again")
    target = _target(run, base_model)
    concerns = [f"the target is {target.name}, and {target.licence.concern}"] if target.licence.concern else []
    repositories = []
    if with_calibration:
        data_set = _data_set(run, artefact, manifest, target, repo_id)
        repositories.append(data_set)
        concern = licence_concern(calibration_of(manifest))
        concerns += [f"of the calibration set, {concern}"] if concern else []
    card = _card(run, artefact, manifest, target, repo_id, repositories[0].id if repositories else None)
    repositories.append(_model(folder, manifest, repo_id, card))
    secrets = secrets_of_run(run.settings)
    for repository in repositories:
        check_secrets(repository.id, repository.files, secrets)
    return PushPlan(artefact, tuple(repositories), tuple(concerns))


def check_name(repo_id: str) -> None:
    """Raise UsageError if the hub would not accept the name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined, unused-ignore]

    if repo_id.count("/") != 1:
        raise UsageError(f"{repo_id!r} is no name of a repository: write USER/NAME, such as me/my-model")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UsageError(f"the hub does not accept the name {repo_id!r}: {str(error).split(chr(10))[0]}") from None


def find_artefact(run: Run, name: str) -> Artefact:
    """The complete and current artefact `name`. Raises UsageError if there is none."""
    queue = {one.name: one for one in queue_of(run)}
    if name not in queue:
        near = get_close_matches(name, queue, n=1)
        made = all_artefacts(run.store)
        if name in made:
            raise UsageError(f"no recipe in faq.toml makes {name} any more: add the recipe again to push it")
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(queue) or 'none, add a recipe first'}"
        raise UsageError(f"no artefact {name!r} in {run.folder}: {hint}")
    queued = queue[name]
    state = queued.state
    artefact = queued.artefact
    if artefact is not None and state == "done":
        owner = all_artefacts(run.store).get(artefact.folder)
        if owner is not None and owner.signature == artefact.signature:
            return artefact
        state = "stale"  # the artefact that owns the shared folder was made again from another set
    raise UsageError(f"{name} {NOT_MADE[state].format(command=command_line('run', run.folder), why=queued.message)}")


def _target(run: Run, base_model: str | None) -> TargetCard:
    target = target_card(run)
    hub_id = base_model or target.hub_id
    if hub_id is not None and not target.licence.known:
        fetch_card(hub_id)
        target = target_card(run)
    return with_base_model(target, base_model) if base_model is not None else target


def _card(
    run: Run, artefact: Artefact, manifest: dict[str, Any], target: TargetCard, repo_id: str, data_set: str | None
) -> str | Path:
    folder = run.models / artefact.folder
    if is_own_card(folder / CARD):
        return folder / CARD
    try:
        body = document(run, changed_stage=changed_stage(run))
    except UsageError:  # nothing is measured
        body = None
    evidence = evidence_lines(body, artefact)
    owner = repo_id.partition("/")[0]
    return model_card(ModelCardFacts(folder, manifest, target, evidence, repo_id, owner, data_set))


def _model(folder: Path, manifest: dict[str, Any], repo_id: str, card: str | Path) -> Repository:
    files = published_files(folder)
    serve = serve_commands(Path(repo_id), format_of_folder(folder))
    files[NAME] = as_json({**public_value(manifest), "serve": serve})
    files[CARD] = card
    return Repository(repo_id, MODEL, files, NAME, ["*.safetensors", "*.safetensors.index.json"])


def _data_set(run: Run, artefact: Artefact, manifest: dict[str, Any], target: TargetCard, repo_id: str) -> Repository:
    name, calibration = artefact.set_name, calibration_of(manifest)
    path = run.calibration / f"{name}.jsonl"
    if not path.is_file():
        raise UsageError(
            f"the calibration set {path} is missing: run `{command_line('run', run.folder, '--until', 'assemble')}`"
        )
    if digest([sample.get("input_ids") for sample in CalibrationSet(name, path).samples()]) != calibration.get(
        "ids_hash"
    ):
        raise UsageError(f"{path} is not the set from which {artefact.name} was made: quantize the artefact again")
    files: dict[str, Path | str] = {
        CARD: data_card(name, calibration, target, repo_id),
        PROVENANCE: as_json(public_value(provenance(manifest))),
        data_file(name): path,
    }
    return Repository(f"{repo_id}{CALIBRATION_SUFFIX}", DATA_SET, files, PROVENANCE, ["data/*"])
