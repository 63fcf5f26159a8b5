"""Folders that are no model are recognised from their files, before anything loads them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.folder_check import check_folder, embedding_rows
from faq_tui.core.models.headers import INDEX
from tests.support.tiny import make_tiny_model

KEY = "target.model"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("folders") / "model", hidden=64, layers=1)


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def with_files(files: dict[str, str], *gone: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        without(*gone)(folder)
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    return change


def configured(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])


def in_another_encoding(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe{")


WEIGHTS, CONFIG = "model.safetensors", "config.json"
ADAPTER = {"adapter_config.json": '{"base_model_name_or_path": "big/base"}', "adapter_model.safetensors": "x"}
FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "an adapter": (with_files(ADAPTER, WEIGHTS, CONFIG), "holds only an adapter of big/base: merge it"),
    "an adapter beside a config": (with_files(ADAPTER, WEIGHTS), "holds only an adapter of big/base: merge it"),
    "a broken adapter": (with_files({"adapter_config.json": "["}, WEIGHTS, CONFIG), "holds only an adapter: merge"),
    "GGUF alone": (with_files({"m.gguf": "GGUF"}, WEIGHTS, CONFIG), "only GGUF files: give the folder of the orig"),
    "GGUF beside a config": (with_files({"m.gguf": "GGUF"}, WEIGHTS), "has its weights only as GGUF"),
    "images": (with_files({"model_index.json": "{}"}, WEIGHTS, CONFIG), "a pipeline of image models"),
    "the publisher's format": (with_files({"params.json": "{}"}, WEIGHTS, CONFIG), "in their publisher's format"),
    "torch files": (with_files({"consolidated.00.pth": ""}, WEIGHTS, CONFIG), "in their publisher's format"),
    "the folder above": (with_files({"v2/config.json": "{}"}, CONFIG), r"its subfolder v2 does: give .*copy/v2"),
    "no config": (without(CONFIG), "holds no config.json: give a Hugging Face model folder"),
    "no JSON": (with_files({CONFIG: "{'a': 1}"}), "config.json cannot be read"),
    "a list": (with_files({CONFIG: "[]"}), "config.json cannot be read .it is not a JSON object"),
    "deep nesting": (with_files({CONFIG: "[" * 100_000}), "config.json cannot be read"),
    "no UTF-8": (in_another_encoding, "config.json cannot be read"),
    "architectures in a text": (configured(architectures="LlamaForCausalLM"), "architectures in .* is not a list"),
    "architectures in numbers": (configured(architectures=[1]), "architectures in .* is not a list"),
    "architectures in a table": (configured(architectures={"a": 1}), "architectures in .* is not a list"),
    "a pointer to weights": (with_files({WEIGHTS: LFS}), r"model.safetensors is only a pointer of Git LFS"),
    "a pointer to a tokenizer": (with_files({"tokenizer.json": LFS}), "tokenizer.json is only a pointer of Git LFS"),
    "a pointer to a template": (with_files({"chat_template.jinja": LFS}), "jinja is only a pointer of Git LFS"),
    "no weights": (without(WEIGHTS), r"has no \*.safetensors files"),
    "other weights": (with_files({"pytorch_model.bin": ""}, WEIGHTS), r"has no \*.safetensors files"),
    "cut weights": (truncated, "model.safetensors cannot be read"),
    "empty weights": (with_files({WEIGHTS: ""}), "model.safetensors cannot be read"),
    "an index without a file": (
        with_files({INDEX: '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'}),
        "model-00001-of-00002.safetensors is missing, though",
    ),
    "an index with a path": (
        with_files({INDEX: '{"weight_map": {"a": "../../x\\u0000"}}'}),
        "which is not a file in this folder",
    ),
    "an index that is a list": (with_files({INDEX: "[]"}), "index.json cannot be read"),
    "a deep index": (with_files({INDEX: "[" * 100_000}), "index.json cannot be read"),
    "a smaller vocabulary": (configured(vocab_size=300), "gives vocab_size 300, but .* has 512 rows"),
    "a larger vocabulary": (configured(vocab_size=513), "gives vocab_size 513, but .* has 512 rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_no_model(copy: Path, fault: str) -> None:
    change, sentence = FAULTS[fault]
    change(copy)
    with pytest.raises(UsageError, match=sentence):
        check_folder(KEY, copy)


def test_a_folder_that_is_a_model(model: Path, copy: Path) -> None:
    check_folder(KEY, model)
    assert embedding_rows(model) == 512
    (copy / WEIGHTS).unlink()
    check_folder(KEY, copy, weights=False)  # enough to make sets
    configured(vocab_size="many", architectures=None)(copy)
    check_folder(KEY, copy, weights=False)


@pytest.mark.parametrize(
    ("names", "config", "rows"),
    [
        (["transformer.wte.weight", "transformer.wpe.weight"], {}, 7),
        (["gpt_neox.embed_in.weight", "embed_out.weight"], {"vocab_size": 7}, 7),
        (["transformer.word_embeddings.weight"], {"vocab_size": 7}, 7),
        (["model.language_model.embed_tokens.weight"], {"text_config": {"vocab_size": 7}}, 7),
        (["model.embed_tokens.weight", "model.layers.61.embed_tokens.weight"], {"vocab_size": 7}, 7),
        (["visual.embed_tokens.weight"], {"vocab_size": 5}, 5),
        (["lm_head.weight"], {}, None),
    ],
)
def test_the_rows_of_the_embedding(tmp_path: Path, names: list[str], config: dict[str, Any], rows: int) -> None:
    tensors = {name: np.zeros((7 + number, 4), np.float32) for number, name in enumerate(names)}
    save_file(tensors, tmp_path / WEIGHTS)
    (tmp_path / CONFIG).write_text(json.dumps(config))
    assert embedding_rows(tmp_path) == rows
