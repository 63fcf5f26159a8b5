"""`faq-tui status --json`: what it tells of a run, as its schema says."""

from __future__ import annotations

import json
from pathlib import Path

from faq_tui.core.run.run import open_run
from faq_tui.core.store.artefacts import Artefact, add_artefact
from tests.support.schemas import valid
from tests.support.shell import faq_tui, make_run

pytest_plugins = ["tests.support.weightless_run"]


def test_status_validates(run_folder: Path, tmp_path: Path) -> None:
    recipe = {"method": "gptq", "bits": 4}
    with open_run(run_folder) as run:
        for name, same_as in (("gptq-w4g128-elder", None), ("gptq-w4g128-other", "gptq-w4g128-elder")):
            add_artefact(run.store, Artefact(name, "s", recipe, "elder", same_as, 4, 400, 4.25, 9.0))
    status = json.loads(faq_tui("status", run_folder, "--json").out)
    valid("status", status)
    states = {stage["stage"]: stage["state"] for stage in status["stages"]}
    assert states["seeds"] == states["assemble"] == "done" and states["quantize"] == "missing"
    assert status["sources"]["elder"] == {
        "model": "fake-8b",
        "candidates": 12,
        "wanted": 12,
        "failed": 0,
        "unfit": 4,
        "tokens": status["sources"]["elder"]["tokens"],
        "saved_tokens": 0,
        "scored": 8,
        "picked": 4,
        "picked_by_person": 0,
        "rejected": 0,
        "outdated": 0,
        "to_come": status["sources"]["elder"]["to_come"],
    }
    assert status["sources"]["elder"]["to_come"]["candidates"] == 0
    assert [row["name"] for row in status["sets"]] == ["baseline", "elder", "baseline-tokens", "elder-tokens"]
    assert len(status["artefacts"]) == 2
    valid("status", json.loads(faq_tui("status", make_run(tmp_path / "fresh"), "--json").out))


def test_status_tells_what_is_stale(run_folder: Path) -> None:
    text = (run_folder / "faq.toml").read_text()
    (run_folder / "faq.toml").write_text(text + "[assemble]\nmax_tokens = 64\n")
    status = json.loads(faq_tui("status", run_folder, "--json").out)
    states = {stage["stage"]: stage["state"] for stage in status["stages"]}
    assert (states["judge"], states["assemble"]) == ("done", "stale")
