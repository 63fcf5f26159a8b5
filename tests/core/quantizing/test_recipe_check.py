"""Recipes that cannot quantize the target are refused before a request is sent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, UsageError
from faq_tui.core.quantizing import recipe_check
from faq_tui.core.run.run import open_run
from faq_tui.core.worker import run_worker
from tests.support.architectures import make
from tests.support.fake_server import FakeServer
from tests.support.shell import faq_tui, make_run, refused
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

W8A8 = '[[recipes]]\nmethod = "w8a8"\n'
SENTENCE = "its files store all experts of a layer as one tensor "


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gpt-oss in BF16 with a tokenizer."""
    folder = make_tiny_model(tmp_path_factory.mktemp("models") / "target", layers=1)
    (folder / "model.safetensors").unlink()
    return make("gpt_oss", folder, "bfloat16", vocab_size=512, pad_token_id=2)


def test_doctor_and_run_refuse_a_recipe_and_name_one_that_works(target: Path, tmp_path: Path) -> None:
    with FakeServer() as server:
        folder = make_run(tmp_path, server.url, target=str(target), rest=W8A8)
        message = refused(ExitCode.USAGE, "run", folder)
        assert f"w8a8 cannot quantize {target}: {SENTENCE}" in message and "use spqr" in message
        assert not server.requests
        checks = json.loads(faq_tui("doctor", folder, "--json").out)["checks"]
        assert [one["name"] for one in checks if SENTENCE in json.dumps(one)] == ["target"]


def test_doctor_and_run_refuse_a_model_that_evaluate_could_not_use(tmp_path: Path) -> None:
    target = make_tiny_model(tmp_path / "target", layers=1)
    (target / "model.safetensors").unlink()
    make("gemma", target, "bfloat16", vocab_size=512, pad_token_id=2, use_bidirectional_attention=True)
    sentence = "in GemmaForCausalLM, a token sees the tokens after it: faq-tui cannot evaluate it"
    with FakeServer() as server:
        folder = make_run(tmp_path, server.url, target=str(target), rest=W8A8)
        assert sentence in refused(ExitCode.USAGE, "run", folder)
        assert not server.requests
        checks = json.loads(faq_tui("doctor", folder, "--json").out)["checks"]
        assert [one["name"] for one in checks if sentence in json.dumps(one)] == ["target"]
    with open_run(folder) as run:
        recipe_check.check_recipes(run, target, CancelToken(), run.cache / "log.txt")
        (target / "model.safetensors").unlink()  # as before the download of a hub model
        with pytest.raises(UsageError, match="a token sees the tokens after it"):
            recipe_check.check_recipes(run, target, CancelToken(), run.cache / "log.txt", logits=True)


@pytest.mark.parametrize("kind", ["rwkv", "longcat_flash"])
def test_a_model_that_cannot_be_read_layer_by_layer_is_refused_before_the_run(kind: str, tmp_path: Path) -> None:
    target = make_tiny_model(tmp_path / "target", layers=1)
    (target / "model.safetensors").unlink()
    make(kind, target, "bfloat16", vocab_size=512, pad_token_id=2)
    with open_run(make_run(tmp_path / "run", target=str(target))) as run:
        recipe_check.check_recipes(run, target, CancelToken(), run.cache / "log.txt")
    folder = make_run(tmp_path / "layers", target=str(target))
    settings = (folder / "faq.toml").read_text()
    (folder / "faq.toml").write_text(settings.replace("[target]\n", '[target]\nread = "layers"\n'))
    with (
        open_run(folder) as run,
        pytest.raises(UsageError, match=r"cannot be read layer by layer \(.*read = \"whole"),
    ):
        recipe_check.check_recipes(run, target, CancelToken(), run.cache / "log.txt")


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("cpu", 'quantize.gpus_per_artefact is 2, but target.device is "cpu"'),
        ("auto", "quantize.gpus_per_artefact is 2, but this machine has no GPUs"),
    ],
)
def test_gpus_that_are_not_there_are_refused_by_doctor_by_run_and_by_the_stage(
    device: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    target = make_tiny_model(tmp_path / "target", layers=1)
    rest = '[[recipes]]\nmethod = "gptq"\ngroup_size = 32\n[quantize]\ngpus_per_artefact = 2\n'
    with FakeServer() as server:
        folder = make_run(tmp_path / "run", server.url, target=str(target), rest=rest)
        settings = (folder / "faq.toml").read_text()
        assert settings.count("[target]\n") == 1
        (folder / "faq.toml").write_text(settings.replace("[target]\n", f'[target]\ndevice = "{device}"\n'))
        assert sentence in refused(ExitCode.USAGE, "run", folder)
        assert not server.requests
        checks = json.loads(faq_tui("doctor", folder, "--json").out)["checks"]
        (check,) = [one for one in checks if one["name"] == "GPUs of an artefact"]
        assert check["state"] == "failed" and check["found"].startswith(sentence) and "set gpus" in check["advice"]
        with open_run(folder) as run, pytest.raises(UsageError, match=r"gpus_per_artefact is 2"):
            recipe_check.check_gpus(run)


def test_the_finding_is_remembered_until_the_recipe_changes(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(task: str, *rest: Any) -> None:
        calls.append(task)
        run_worker(task, *rest)

    monkeypatch.setattr(recipe_check, "run_worker", counted)
    for number, (rest, fails) in enumerate([(W8A8, True), (W8A8, True), (W8A8.replace("w8a8", "spqr"), False)]):
        folder = make_run(tmp_path / "run", target=str(target), rest=rest)
        with open_run(folder) as run:
            try:
                recipe_check.check_recipes(run, target, CancelToken(), run.cache / "log.txt")
                assert not fails
            except UsageError as error:
                assert fails and SENTENCE in str(error)
        assert len(calls) == (1, 1, 2)[number]
        shutil.rmtree(tmp_path / "run" / "unused", ignore_errors=True)


def test_a_common_architecture_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(recipe_check, "run_worker", never)
    model = make_tiny_model(tmp_path / "llama", layers=1)
    with open_run(make_run(tmp_path / "run", target=str(model), rest=W8A8)) as run:
        recipe_check.check_recipes(run, model, CancelToken(), run.cache / "log.txt")
