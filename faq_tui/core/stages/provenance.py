"""Add facts about the run to an artefact's manifest: the set, the set's hash, the sources and the prompts."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.models.dense import format_of_folder
from faq_tui.core.models.target import fingerprint
from faq_tui.core.quantizing.output import read_manifest, write_manifest
from faq_tui.core.quantizing.servable import serve_commands
from faq_tui.core.regenerating.candidate_requests import prompt_version, source_hash_of
from faq_tui.core.run.run import Run
from faq_tui.core.store.sets import SetRow


def complete_manifest(folder: Path, name: str, run: Run, set_row: SetRow) -> None:
    """Add facts about the run to the worker's manifest. Also add commands that serve the folder as `name`.

    Raises FaqError if there is no manifest.
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
