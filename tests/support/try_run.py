"""A run with a tiny random target and artefacts that are written by hand, for everything that loads artefacts."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from faq_tui.core.quantizing.output import write_manifest
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages.quantize import artefact_signature
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.packed_folders import pack_folder
from tests.support.paths import ROOT
from tests.support.tiny import TINY_RUN, make_tiny_model

EQUAL, GPTQ, W8A8 = "gptq-w8g32-baseline", "gptq-w4g16-baseline", "w8a8-w8gc-baseline"
RECIPES = """
[[recipes]]
bits = 8
group_size = 32
[[recipes]]
bits = 4
group_size = 16
[[recipes]]
method = "w8a8"
"""
# A server in a process of its own. It lists the model's name and answers with a fixed text.
SERVER = (
    f"import sys, threading; sys.path.insert(0, {str(ROOT)!r}); "
    "from tests.support.fake_server import Behaviour, FakeServer; "
    "server = FakeServer(Behaviour(models=(sys.argv[2],), words=6, thought_words=3), port=int(sys.argv[1])); "
    "server.__enter__(); threading.Event().wait()"
)


def serve_section(code: str = SERVER) -> str:
    """The settings with which `code` serves a model instead of vLLM."""
    command = json.dumps([sys.executable, "-c", code, "{port}", "{name}"])
    return f"\n[evaluate.serve]\ncommand = {command}\nready_timeout_s = 60\n"


def make_try_run(folder: Path, more: str = "", weights: bool = True) -> Path:
    """A run with three artefacts. The first has the target's own weights, the others have random codes.

    Without `weights`, the folders hold only a manifest and a config.json.
    """
    target = folder / "target"
    if weights:
        make_tiny_model(target, layers=1)
    else:
        target.mkdir(parents=True)
        (target / "config.json").write_text("{}")
    (folder / "seeds.txt").write_text("".join(f"Question {n}?\n" for n in range(20)), encoding="utf-8")
    (folder / "faq.toml").write_text(TINY_RUN + RECIPES + more, encoding="utf-8")
    with open_run(folder) as run:
        add_set(run.store, _SET)
        for recipe, name, method in zip(
            run.settings.recipes, (EQUAL, GPTQ, W8A8), (None, "gptq", "w8a8"), strict=True
        ):
            assert recipe.folder("baseline") == name
            _add(run, name, method if weights else None)
            signature = artefact_signature(run, recipe, _SET)
            add_artefact(
                run.store, Artefact(name, signature, recipe.identity(), "baseline", None, 20, 4000, 4.25, 75.0)
            )
    return folder


_SET = SetRow("baseline", "hash", 20, 4000, 4000, 0, {})


def _add(run: Run, name: str, method: str | None) -> None:
    shutil.copytree(run.folder / "target", run.models / name)
    if method is not None:
        pack_folder(run.models / name, method)
    write_manifest(run.models / name, {"artefact": name, "losses": []})
