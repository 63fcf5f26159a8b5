"""A worker process tries a tokenizer; its results are cached, and a template that takes too much ends only it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.models import tokenizer_check
from faq_tui.core.models.tokenizer_check import ModelFolder, TokenizerFacts, tokenizer_facts
from faq_tui.core.run.run import open_run
from tests.support.shell import make_run
from tests.support.tiny import CHATML, make_tiny_model

pytestmark = pytest.mark.slow

SHAPES = [("user",), ("system", "user")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "model", hidden=64, layers=1)


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def facts(run_folder: Path, folder: Path) -> TokenizerFacts:
    with open_run(run_folder) as run:
        target = ModelFolder("target.model", folder.name, folder, False, 512)
        return tokenizer_facts(run, target, SHAPES, CancelToken(), run.cache / "log.txt")


def test_the_results_are_found_again_until_a_file_changes(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    monkeypatch.setattr(tokenizer_check, "_IN_PROCESS", {})
    first = facts(run, copy)
    assert first.eos == "<|im_end|>" and "<|im_start|>" in first.specials
    assert not first.shapes["user",].reasoned and not first.shapes["system", "user"].folded
    (stored,) = (run / ".cache").glob("tokenizer-*.json")

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a worker was started")

    with monkeypatch.context() as no_worker:
        no_worker.setattr(tokenizer_check, "run_worker", started)
        no_worker.setattr(tokenizer_check, "_IN_PROCESS", {})
        assert facts(run, copy) == first
        (copy / "chat_template.jinja").write_text("{% for m in messages %}")
        with pytest.raises(AssertionError, match="a worker was started"):
            facts(run, copy)
    assert "refuses the conversation" in facts(run, copy).shapes["user",].question
    (copy / "chat_template.jinja").write_text(CHATML)
    for broken in ("{", "[]", json.dumps({"shapes": [{}]})):
        monkeypatch.setattr(tokenizer_check, "_IN_PROCESS", {})
        stored.write_text(broken)
        assert facts(run, copy) == first


def test_a_template_that_does_not_end_ends_the_worker(copy: Path, tmp_path: Path) -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    (copy / "chat_template.jinja").write_text(loops + CHATML)
    with pytest.raises(UsageError, match=r"template of target\.model copy takes longer than 3 s"):
        facts(make_run(tmp_path / "run"), copy)


@pytest.mark.parametrize(
    "text",
    ["'x' * (n * 10 ** 10)", "'%1000000000d' % n", "messages | tojson(indent=n * 10 ** 8)"],
)
def test_a_template_has_little_memory(copy: Path, tmp_path: Path, text: str) -> None:
    (copy / "chat_template.jinja").write_text(f"{{% set n = messages | length %}}{{{{ {text} }}}}{CHATML}")
    assert (
        facts(make_run(tmp_path / "run"), copy)
        .shapes["user",]
        .question.endswith("refuses the conversation: MemoryError")
    )


NO_TOKENIZERS = {
    "no files": (
        {},
        ("tokenizer.json", "tokenizer_config.json"),
        "no tokenizer could be loaded from target.model copy",
    ),
    "no JSON": ({"tokenizer.json": "{"}, (), "no tokenizer could be loaded from target.model copy"),
    "no template": ({}, ("chat_template.jinja",), "target.model copy has no chat template"),
    "only a template for tools": (
        {"additional_chat_templates/tool_use.jinja": CHATML},
        ("chat_template.jinja",),
        "has only the chat templates tool_use, and none with the name default",
    ),
}


@pytest.mark.parametrize("fault", NO_TOKENIZERS)
def test_a_tokenizer_that_cannot_be_used(copy: Path, tmp_path: Path, fault: str) -> None:
    files, gone, sentence = NO_TOKENIZERS[fault]
    for name in gone:
        (copy / name).unlink()
    for name, text in files.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text)
    with pytest.raises(UsageError, match=sentence):
        facts(make_run(tmp_path / "run"), copy)


def test_named_templates_in_the_configuration(copy: Path, tmp_path: Path) -> None:
    """The form of older repositories: a list."""
    (copy / "chat_template.jinja").unlink()
    path = copy / "tokenizer_config.json"
    config = json.loads(path.read_text())
    for names, good in ((("tool_use", "default"), True), (("tool_use", "rag"), False)):
        config["chat_template"] = [{"name": name, "template": CHATML} for name in names]
        path.write_text(json.dumps(config))
        run = make_run(tmp_path / f"run-{good}")
        if good:
            assert not facts(run, copy).shapes["user",].plain
            continue
        with pytest.raises(UsageError, match="has only the chat templates rag, tool_use"):
            facts(run, copy)
