"""Add facts about the run to an artefact's manifest: the set, the set's hash, the sources and the prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faq_tui.core.assembly.prose import state
from faq_tui.core.base.errors import FaqError
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.models.dense import format_of_folder
from faq_tui.core.models.target import fingerprint
from faq_tui.core.quantizing.output import read_manifest, write_manifest
from faq_tui.core.quantizing.servable import serve_commands
from faq_tui.core.regenerating.candidate_requests import prompt_version, source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.settings import TOKENS_SUFFIX
from faq_tui.core.settings.sets import plain_name
from faq_tui.core.store.sets import SetRow


def _changes(run: Run, set_row: SetRow) -> dict[str, Any]:
    """What was cut from the set's answers, and which text file was added.

    The result is empty if nothing was cut or added.
    """
    name = plain_name(set_row.name)
    plan = run.settings.set_plan(name) or run.settings.set_plan(name.removesuffix(TOKENS_SUFFIX))
    changes: dict[str, Any] = {}
    if plan is not None and plan.answers_cut is not None:
        changes["answers_cut"] = plan.answers_cut
    if plan is not None and plan.prose_share:
        changes["prose"] = {"share": plan.prose_share, "file": plan.prose_file, "text_hash": state(run, plan)}
    return changes


def complete_manifest(folder: Path, name: str, run: Run, set_row: SetRow) -> dict[str, Any]:
    """Add facts about the run to the worker's manifest. Also add commands that serve the folder as `name`.

    Returns the complete manifest. Raises FaqError if there is no manifest.
    """
    body = read_manifest(folder)
    if body is None:
        raise FaqError(f"the worker wrote no manifest to {folder}: read the job's log")
    settings = run.settings
    body["target"] = {"model": settings.target.model, "fingerprint": fingerprint(run)}
    body["calibration"] = {
        "set": set_row.name,
        "ids_hash": set_row.ids_hash,
        "samples": set_row.samples,
        "tokens": set_row.tokens,
        "picked_by_person": set_row.by_person,
        "seeds": settings.seeds.model_dump(include={"path", "count", "sample_seed"}),
        "assemble": settings.assemble.model_dump(),
        **_changes(run, set_row),
        "judge": {
            "kind": settings.judge.kind,
            "weights": settings.judge.weights(),
            "model": settings.judge.model,
            "id": judge_id(run),
        },
        "sources": {
            name: {
                "model": source.model,
                "reasoning": source.reasoning,
                "prompt": prompt_version(source),
                "sampling": source.sampling.model_dump(),
                "generation": source_hash_of(source),
            }
            for name, source in settings.sources.items()
        },
    }
    from_the_run = Path(run.models.name) / name  # a relative path, because a person may move the run folder
    body["serve"] = serve_commands(from_the_run, format_of_folder(folder))
    write_manifest(folder, body)
    return body
