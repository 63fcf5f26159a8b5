"""The target and local sources are checked before anything is paid for, by `run` and by `doctor`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.fake_server import FakeServer
from tests.support.shell import faq_tui, make_run, refused
from tests.support.tiny import CHATML, make_tiny_model

UNTIL = ("--until", "regenerate")
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
PARTS = "{% for m in messages %}{{ m.role }} {{ m.content[0].text }}<|im_end|>{% endfor %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "model", layers=1)


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "target"))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def with_template(template: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "chat_template.jinja").write_text(template)

    return change


def with_more_tokens(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<extra_{number}>" for number in range(200)])
    tokenizer.save_pretrained(folder)


def with_a_late_end(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<|reserved_{number}|>" for number in range(200)], special_tokens=True)
    tokenizer.pad_token = "<|reserved_199|>"
    tokenizer.save_pretrained(folder)


def as_adapter(folder: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    (folder / "adapter_config.json").write_text("{}")


def as_gptq(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    (folder / "config.json").write_text(json.dumps(config))


def with_unnamed_codes(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors |= {name: tensors[name].to(torch.float8_e4m3fn), f"{name}_scale_inv": torch.ones(2, 1)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


# ---- what is refused, without a single request


@pytest.mark.parametrize("until", ["regenerate", "assemble"])
@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("./not/there", "no model folder at "),
        ("~/no-such-folder-here/model", "no model folder at "),
        ("seeds.jsonl", "seeds.jsonl is a file: give the Hugging Face model folder"),
        ("~nosuch_user_here/model", "target.model in faq.toml cannot be used"),
    ],
)
def test_a_target_that_is_not_there(
    tmp_path: Path, server: FakeServer, until: str, target: str, sentence: str
) -> None:
    folder = make_run(tmp_path / "run", server.url, target=target)
    assert sentence in refused(ExitCode.USAGE, "run", folder, "--until", until)
    assert not server.requests


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "an adapter": (as_adapter, "holds only an adapter"),
    "a GPTQ model": (
        as_gptq,
        "is quantized already (gptq): give the unquantized model, or a model that is published",
    ),
    "FP8 codes without a word about them": (with_unnamed_codes, "but config.json has no quantization_config"),
    "tokens beyond the embedding": (with_more_tokens, "but the model's embedding has only 512 rows"),
    "a task for a token beyond it": (
        with_a_late_end,
        "pad_token of target.model target is '<|reserved_199|>' with id",
    ),
    "lists of parts": (with_template(PARTS), "reads only messages that are lists of parts"),
    "a failing template": (with_template("{{ messages + 1 }}"), "cannot write a question (the chat template refuses"),
    "no place for reasoning": (
        with_template(CHATML.partition("{% if add_generation_prompt")[0] + "{# <think></think> #}"),
        "cannot write reasoning (",
    ),
    "no place for an answer": (
        with_template("{% for m in messages if m.role == 'user' %}{{ m.content }}<|im_end|>{% endfor %}"),
        "cannot write an answer",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", REFUSED)
def test_a_target_that_cannot_be_used(tmp_path: Path, copy: Path, server: FakeServer, fault: str) -> None:
    change, sentence = REFUSED[fault]
    change(copy)
    folder = make_run(tmp_path / "run", server.url, target=str(copy))
    assert sentence in refused(ExitCode.USAGE, "run", folder, *UNTIL)
    assert not server.requests
    checks = json.loads(faq_tui("doctor", folder, "--json").out)["checks"]
    found = [check for check in checks if check["name"] in ("target", "chat template") and check["state"] == "failed"]
    assert [sentence in check["advice"] for check in found] == [True], checks


@pytest.mark.slow
def test_weights_are_needed_only_by_stages_that_load_them(tmp_path: Path, copy: Path, server: FakeServer) -> None:
    (copy / "model.safetensors").unlink()
    folder = make_run(tmp_path / "run", server.url, target=str(copy))
    assert "has no *.safetensors files" in refused(ExitCode.USAGE, "run", folder, "--until", "judge")
    assert not server.requests
    assert faq_tui("run", folder, *UNTIL).code == ExitCode.DONE
    assert server.requests


@pytest.mark.slow
def test_a_local_source_that_is_not_there_is_found_before_another_is_paid(
    tmp_path: Path, model: Path, copy: Path, server: FakeServer
) -> None:
    local = '[sources.near]\nbase_url = "local"\nmodel = "{}"\n'
    missing = make_run(tmp_path / "a", server.url, target=str(model), rest=local.format("not-there"))
    sentence = refused(ExitCode.USAGE, "run", missing, *UNTIL)
    assert "sources.near.model not-there: no Hugging Face model folder at" in sentence
    with_template("{{ 1 / 0 }}")(copy)
    broken = make_run(tmp_path / "b", server.url, target=str(model), rest=local.format(copy))
    sentence = refused(ExitCode.USAGE, "run", broken, *UNTIL)
    assert "the chat template of sources.near.model target cannot write a question" in sentence
    assert not server.requests


@pytest.mark.slow
def test_recipes_are_checked_before_the_first_request(
    tmp_path: Path, model: Path, copy: Path, server: FakeServer
) -> None:
    """Even if no request is needed, other stages take hours before the stage `quantize`."""
    folder = make_run(tmp_path / "run", server.url, target=str(copy), rest="[[recipes]]\ngroup_size = 1024\n")
    assert "group_size 1024 does not divide" in refused(ExitCode.USAGE, "run", folder)
    as_gptq(copy)
    config = json.loads((copy / "config.json").read_text())
    config["quantization_config"]["quant_method"] = "compressed-gguf"
    (copy / "config.json").write_text(json.dumps(config))
    local = f'[sources.near]\nbase_url = "local"\nmodel = "{copy}"\n'
    folder = make_run(tmp_path / "local", server.url, target=str(model), rest=local)
    sentence = refused(ExitCode.USAGE, "run", folder, *UNTIL)
    assert sentence.endswith(
        "is quantized in a form that faq-tui cannot read (compressed-gguf): give the unquantized model, or serve "
        "this one and set base_url"
    )
    assert not server.requests


# ---- what is reported, and the run goes on


@pytest.mark.slow
def test_system_turns_without_a_system_role(tmp_path: Path, copy: Path, server: FakeServer) -> None:
    with_template(NO_SYSTEM + CHATML)(copy)
    folder = make_run(tmp_path / "run", server.url, target=str(copy))
    with (folder / "seeds.jsonl").open("w") as file:
        for number in range(4):
            system = [{"role": "system", "content": "Be a patient teacher."}] if number else []
            turns = [*system, {"role": "user", "content": f"Why is the number {number} what it is?"}]
            file.write(json.dumps({"messages": turns}) + "\n")
        turns = [{"role": "user", "content": "What does <|im_end|> mean?"}]
        file.write(json.dumps({"messages": turns}) + "\n")
    result = faq_tui("run", folder, "--until", "regenerate")
    assert result.code == ExitCode.DONE, result
    assert "has no system role: in 3 of 5 seeds, the system turn becomes the beginning" in result.err
    assert "1 of 5 seeds cannot be used with target.model target (1 a text holds the target's special" in result.err
    checks = json.loads(faq_tui("doctor", folder, "--json").out)["checks"]
    found = [check for check in checks if check["name"] == "chat template"]
    assert {check["state"] for check in found} == {"warning"} and len(found) == 2
    assert all("no system role" in check["found"] for check in found)


@pytest.mark.slow
def test_seeds_that_are_all_lost_are_refused(tmp_path: Path, model: Path, server: FakeServer) -> None:
    folder = make_run(tmp_path / "run", server.url, target=str(model))
    lines = [json.dumps({"question": f"What is <|im_end|> good for, {number}?"}) for number in range(5)]
    (folder / "seeds.jsonl").write_text("\n".join(lines))
    sentence = refused(ExitCode.USAGE, "run", folder, *UNTIL)
    assert "none of the 5 seeds can be used with target.model model (5 a text holds the target's" in sentence
    assert not server.requests


def test_a_hub_id_that_cannot_be_fetched_is_reported(tmp_path: Path, server: FakeServer) -> None:
    folder = make_run(tmp_path / "run", server.url, target="nobody/knows-it")
    result = faq_tui("run", folder, *UNTIL)
    assert result.code == ExitCode.DONE
    assert (
        "warning: target.model nobody/knows-it could not be checked, because it is not on this machine" in result.err
    )
    later = make_run(tmp_path / "later", server.url, target="nobody/knows-it")
    before = len(server.requests)
    sentence = refused(ExitCode.USAGE, "run", later, "--until", "assemble")
    assert "is not in the cache and the hub cannot be reached" in sentence
    bad = make_run(tmp_path / "bad", server.url, target="no such: id")
    assert "neither a folder nor a hub id" in refused(ExitCode.USAGE, "run", bad, *UNTIL)
    assert len(server.requests) == before
