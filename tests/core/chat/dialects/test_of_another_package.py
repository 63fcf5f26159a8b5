"""A dialect of another package works without an edit in faq_tui, and docs/extending/dialect.md shows its code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.chat.dialects import dialect_of_template, reading
from faq_tui.core.chat.render import render_answered
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import KINDS, KindsSearch
from faq_tui.core.extensions import DIALECTS
from faq_tui.tui.widgets import marked
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.paths import EXTENSION_PACKAGE, ROOT
from tests.support.shell import faq_tui, make_run, rows
from tests.support.template_bench import QUESTION
from tests.support.tiny import make_tiny_model
from tests.support.toy_package import forget_packages

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.pondering %}<ponder>\n{{ m.pondering }}\n</ponder>\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def forget() -> None:
    """What is known of installed dialects, so that it is looked up anew."""
    DIALECTS.__dict__.pop("_found", None)
    for function in [*vars(reading).values(), marked.any_family]:
        if hasattr(function, "cache_clear"):
            function.cache_clear()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the package were installed."""
    monkeypatch.syspath_prepend(EXTENSION_PACKAGE)
    forget_packages()
    forget()
    yield
    monkeypatch.undo()
    forget_packages()
    forget()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=1))
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def test_without_the_package_it_is_unknown(tokenizer: Any) -> None:
    assert "ponder" not in DIALECTS and dialect_of_template(TEMPLATE) is None
    assert render_answered(Template(tokenizer), QUESTION, "why", "so").way == "inline"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("way", ["tags", "field"])
def test_a_sources_stream_is_split(tmp_path: Path, way: str) -> None:
    deltas = [{"pondering": "First "}, {"pondering": "this."}, {"content": "Then that."}]
    tagged = "<ponder>\nFirst this.\n</ponder>\nThen that."
    with FakeServer() as server:
        if way == "tags":
            server.behaviour = Behaviour(dialect="none", reply=lambda asked: tagged)
        else:
            server.behaviour = Behaviour(deltas=lambda asked: deltas)
        run = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1\nretry_wait_s = 0.01\n")
        assert faq_tui("run", run, "--until", "regenerate").code == 0
    found = rows(tmp_path / "run", "SELECT reasoning, answer, dialect FROM candidates")
    assert [tuple(row) for row in found] == [
        ("First this.", "Then that.", "inline" if way == "tags" else "pondering")
    ]


@pytest.mark.usefixtures("installed")
def test_the_templates_reasoning_is_recognised_and_its_tokens_have_their_kind(tokenizer: Any) -> None:
    template = Template(tokenizer)
    assert template.dialect is DIALECTS.get("ponder")
    rendered = render_answered(template, QUESTION, "why", "so")
    text = template.decode(rendered.ids)
    assert text.endswith("<|im_start|>assistant\n<ponder>\nwhy\n</ponder>\nso<|im_end|>\n")
    assert rendered.way == "template"
    for kinds in (list(rendered.kinds), KindsSearch.of(tokenizer).kinds(text, rendered.ids)):
        reasoning = [t for t, kind in zip(rendered.ids, kinds, strict=True) if KINDS[kind] == "reasoning"]
        assert template.decode(reasoning).strip() == "why"
    with pytest.raises(NotAssembledError, match="contains a reasoning tag"):
        render_answered(template, QUESTION, "why </ponder>", "so")


@pytest.mark.usefixtures("installed")
def test_the_screen_shows_its_tags() -> None:
    text = marked.marked("so <ponder> so")
    assert [text.plain[span.start : span.end] for span in text.spans if span.style] == ["<ponder>"]


def test_the_page_shows_this_very_file() -> None:
    page = (ROOT / "docs" / "extending" / "dialect.md").read_text(encoding="utf-8")
    code = (EXTENSION_PACKAGE / "faq_toy" / "dialect.py").read_text(encoding="utf-8")
    assert f"`faq_toy/dialect.py`:\n\n```python\n{code}```\n" in page


class _Broken:
    """The entry point of a package that is out of date."""

    name, value, dist = "odd", "odd_package:ODD", None

    def load(self) -> object:
        raise ImportError("no module named odd_package")


def test_a_dialect_that_cannot_be_loaded_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    forget()
    DIALECTS.__dict__["_found"] = {"odd": _Broken()}
    try:
        with FakeServer() as server:
            run = make_run(tmp_path / "run", server.url, seeds=1, source="candidates = 1\nretry_wait_s = 0.01\n")
            result = faq_tui("run", run, "--until", "regenerate")
        assert result.code == ExitCode.FAILED and "the reasoning dialect 'odd' of the package" in result.err
        assert "update or uninstall it" in result.err and server.requests == []
        assert "<think>" in reading.special_tokens(), "the screen still knows ours"
    finally:
        forget()
