"""The download of a model reports its bytes through the hub's own hooks. A cached model reports nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.fake_hub import fake_hub
from tests.support.shell import environment, faq_tui_process, make_run, sentence

MODEL = "someone/small-model"
PROGRAM = """
import json, sys
from dataclasses import asdict
from faq_tui.core.base.steps import reported_to
from faq_tui.core.models.hub import local_folder

with reported_to(lambda step: print(json.dumps(asdict(step)), flush=True)):
    folder = local_folder(sys.argv[1])
print(json.dumps(sorted(path.name for path in folder.iterdir())))
"""


def downloaded(hub: str, cache: Path) -> tuple[list[dict[str, object]], list[str], str]:
    """The reports, the names of the files, and what was written to the terminal."""
    env = environment(HF_HUB_OFFLINE="0", HF_ENDPOINT=hub, HF_HOME=str(cache), HF_HUB_DISABLE_XET="1")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, MODEL], capture_output=True, text=True, env=env, timeout=120, check=True
    )
    *reports, names = map(json.loads, done.stdout.splitlines())
    return reports, names, done.stderr


def test_a_download_reports_its_bytes(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": bytes(40 << 20), "model.bin": bytes(1 << 20)}
    whole = len(files["config.json"]) + len(files["model.safetensors"])
    with fake_hub(MODEL, files, pause_s=0.06) as hub:
        reports, names, err = downloaded(hub, tmp_path)
        assert names == ["config.json", "model.safetensors"]
        assert {(one["what"], one["unit"]) for one in reports} == {(f"downloading {MODEL}", "bytes")}
        counts = [int(str(one["done"])) for one in reports]
        assert len(counts) >= 4 and counts == sorted(counts), counts
        assert reports[-1] == {
            "what": f"downloading {MODEL}", "done": whole, "total": whole, "unit": "bytes", "ended": True,
        }  # fmt: skip
        assert "%|" not in err, "no bar of the hub's own is drawn"
        assert downloaded(hub, tmp_path)[:2] == ([], names)


def test_the_card_comes_with_the_model_but_is_not_needed(tmp_path: Path) -> None:
    """A cache of an earlier version has no card. It must still count as complete when the hub is gone."""
    files = {"README.md": b"---\nlicense: mit\n---\n", "config.json": b"{}", "model.safetensors": bytes(1000)}
    with fake_hub(MODEL, files) as hub:
        _, names, _ = downloaded(hub, tmp_path)
    assert names == sorted(files)
    (card,) = tmp_path.rglob("snapshots/*/README.md")
    card.unlink()
    _, names, _ = downloaded(hub, tmp_path)
    assert names == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(("name", "url"), [("HF_ENDPOINT", "ftp://x"), ("HTTPS_PROXY", "garbage://x")])
def test_a_wrong_address_of_the_hub_or_the_proxy_is_one_sentence(tmp_path: Path, name: str, url: str) -> None:
    run = make_run(tmp_path / "run", target=MODEL)
    env: dict[str, Any] = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), name: url}
    result = faq_tui_process("run", run, "--until", "assemble", **env)
    assert result.code == ExitCode.USAGE
    said = sentence(result.err)
    assert said.startswith(f"target model {MODEL!r} cannot be fetched (") and "$HF_ENDPOINT and the proxy" in said
