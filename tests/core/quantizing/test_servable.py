"""What servers' loaders stumble over is found before a person tries to serve the folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.servable import check_servable, doubts, problems, serve_commands
from tests.support.quantize_bench import WALK, Artefact, tensors

Edit = Callable[[dict[str, Any]], object]
pytest_plugins = ["tests.support.quantize_bench"]


@pytest.fixture
def folder(artefacts: dict[tuple[str, int], Artefact], tmp_path: Path) -> Path:
    return Path(shutil.copytree(artefacts[WALK, 4].folder, tmp_path / "copy"))


def change(folder: Path, edit: Edit) -> None:
    path = folder / "config.json"
    body = json.loads(path.read_text())
    edit(body)
    path.write_text(json.dumps(body))


def test_what_we_write_can_be_served(artefacts: dict[tuple[str, int], Artefact]) -> None:
    for artefact in artefacts.values():
        assert problems(artefact.folder) == []
        check_servable(artefact.folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "generation_config.json", "chat_template.jinja", "config.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert len(problems(folder)) == 1


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda body: body["quantization_config"].pop("desc_act"), "quantization_config lacks desc_act"),
        (lambda body: body["quantization_config"].update(quant_method="magic"), "quant_method 'magic'"),
        (lambda body: body["quantization_config"].update(quant_method="awq", version="gemv"), "version 'gemv'"),
        (lambda body: body["quantization_config"].update(quant_method="compressed-tensors"), "lacks config_groups"),
        (lambda body: body.update(offload_to_disk_path="/tmp/x"), "names a local path"),
        (lambda body: body.pop("architectures"), "names no architecture"),
    ],
)
def test_a_config_that_a_loader_would_refuse(
    folder: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    change(folder, edit)
    found = problems(folder)
    assert any(said in one for one in found)
    with pytest.raises(FaqError, match=rf"cannot be served: {re.escape(found[0])}; quantize it again$"):
        check_servable(folder)


def test_lost_tensors_and_an_index_that_lies(folder: Path) -> None:
    from safetensors.torch import save_file

    kept = {
        name: tensor for name, tensor in tensors(folder).items() if not name.endswith("layers.0.mlp.up_proj.scales")
    }
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    assert problems(folder) == ["model.layers.0.mlp.up_proj.scales is missing"]
    listed = dict.fromkeys([*kept, "model.extra"], "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    assert any("do not agree about model.extra" in one for one in problems(folder))


@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ("gptq", {}, []),
        (
            "gptq",
            {"group_size": 1024, "desc_act": True},
            ["-1 or 32 or 64 or 128; this folder has 1024", "desc_act False"],
        ),
        ("gptq", {"sym": False}, ["sym True; this folder has False"]),
        ("awq", {"zero_point": False}, ["zero_point True; this folder has False"]),
        ("compressed-tensors", {"group_size": 7}, []),
    ],
)
def test_what_vllms_kernels_lack_is_said(
    tmp_path: Path, method: str, changes: dict[str, Any], said: list[str]
) -> None:
    usual = {"quant_method": method, "bits": 4, "group_size": 128, "sym": True, "desc_act": False, "zero_point": True}
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {**usual, **changes}}))
    found = doubts(tmp_path)
    assert len(found) == len(said) and all(words in one for words, one in zip(said, found, strict=True))


def test_the_command_quotes_what_a_shell_would_split() -> None:
    assert serve_commands(Path("/a b/c"))["vllm"] == "vllm serve '/a b/c'"
