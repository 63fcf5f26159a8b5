"""Tokenizers and chat templates are tried on short conversations, with little time and memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.chat.template import Template
from faq_tui.core.models import tokenizer_task
from faq_tui.core.models.tokenizer_task import _beyond, _limited_time, _OutOfTimeError, _tried
from tests.support.tiny import CHATML, make_tiny_model

USER, SYSTEM, TWICE = ("user",), ("system", "user"), ("user", "user")
TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
OPENED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tried") / "model", hidden=64, layers=1)


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def tried(tokenizer: Any, template: Any, roles: tuple[str, ...] = USER) -> dict[str, Any]:
    tokenizer.chat_template = template
    return _tried(Template(tokenizer), roles)


GOOD = {
    "one template": CHATML,
    "a default among several": {"tool_use": "{{ nothing.at.all }}", "default": CHATML},
    "the clock": "{{ strftime_now('%d %b %Y') }}\n" + CHATML,
    "a macro": "{% macro t(m) %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endmacro %}"
    "{% for m in messages %}{{ t(m) }}{% endfor %}" + OPENED,
    "no turn of the assistant": "{% for m in messages if m.role != 'assistant' %}<|im_start|>{{ m.role }}\n"
    "{{ m.content }}<|im_end|>\n{% endfor %}" + OPENED,
    "Gemma 4": (
        "{% if enable_thinking %}<think>{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
        "{# <|channel>thought <channel|> #}"
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_templates_that_can_be_used(tokenizer: Any, name: str) -> None:
    found = tried(tokenizer, GOOD[name])
    assert (found["question"], found["plain"], found["reasoned"], found["prompt"]) == ("", "", "", "")
    assert not found["folded"] and not found["joined"] and found["largest_id"] >= 0


BAD = {
    "a syntax error": ("{% for m in messages %}", "question", "refuses the conversation: "),
    "an unknown filter": ("{{ messages | no_such_filter }}", "question", "refuses the conversation: "),
    "a TypeError": ("{{ messages[0].role + messages }}", "question", "refuses the conversation: "),
    "an undefined name": ("{{ tools.first.name }}" + CHATML, "question", "refuses the conversation: "),
    "a text that is cut": ("{{ messages[0].content[:3] }}<|im_end|>", "question", "changes or loses the question"),
    "upper case": ("{{ messages[0].content | upper }}<|im_end|>", "question", "changes or loses the question"),
    "a text twice": ("{{ messages[0].content * 2 }}<|im_end|>", "question", "changes or loses the question"),
    "a constant": ("Hello", "question", "changes or loses the question"),
    "no turn to answer in": (
        "{% for m in messages if m.role != 'assistant' %}{{ m.content }}<|im_end|>{% endfor %}",
        "plain",
        "changes or loses",
    ),
    "no end of the answer": (
        "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %} and so on{% endif %}{% endfor %}",
        "plain",
        "changes or loses",
    ),
    "megabytes": ("{{ 'word ' * 1000000 }}" + CHATML, "question", "far more than the conversation"),
}


@pytest.mark.parametrize("name", BAD)
def test_templates_that_cannot_be_used(tokenizer: Any, name: str) -> None:
    template, part, reason = BAD[name]
    found = tried(tokenizer, template)
    assert reason in found[part], found
    assert part == "question" or not found["question"]
    assert not found["parts"]


@pytest.mark.parametrize("tags", ["<think></think>", "<|channel>thought<channel|>", "[THINK][/THINK]"])
def test_a_template_that_has_no_place_for_reasoning(tokenizer: Any, tags: str) -> None:
    """It knows the tags, but drops the reasoning of finished turns, and opens no turn for the model."""
    found = tried(
        tokenizer, TURNS.replace("m.content", "(m.content if m.content is string else '')") + f"{{# {tags} #}}"
    )
    assert (found["question"], found["plain"]) == ("", "") and "changes or loses" in found["reasoned"]


@pytest.mark.parametrize(
    "parts",
    [
        "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}",
        "{{ m.content[0]['text'] }}",
        "{{ m.content | map(attribute='text') | join }}",
    ],
)
def test_templates_that_read_only_lists_of_parts(tokenizer: Any, parts: str) -> None:
    found = tried(tokenizer, "{% for m in messages %}{{ m.role }} " + parts + "<|im_end|>{% endfor %}" + OPENED)
    assert found["parts"] and found["question"]


RULES = {
    "raises on a system turn": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML,
        (True, False),
    ),
    "drops the system turn": (
        "{% for m in messages if m.role != 'system' %}{{ m.content }}<|im_end|>{% endfor %}" + OPENED,
        (True, False),
    ),
    "knows two roles": (
        "{% for m in messages %}{{ {'user': 'U', 'assistant': 'A'}[m.role] + m.content }}<|im_end|>{% endfor %}"
        + OPENED,
        (True, False),
    ),
    "demands alternation": (
        "{% set rest = messages[1:] if messages[0].role == 'system' else messages %}{% for m in rest %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}"
        "{% endfor %}" + CHATML,
        (False, True),
    ),
    "keeps only the last of several": (
        "{% for m in messages %}{% if loop.last or loop.nextitem.role != m.role %}{{ m.content }}<|im_end|>"
        "{% endif %}{% endfor %}" + OPENED,
        (False, True),
    ),
    "takes all": (CHATML, (False, False)),
}


@pytest.mark.parametrize("rule", RULES)
def test_how_turns_are_changed(tokenizer: Any, rule: str) -> None:
    template, (folded, joined) = RULES[rule]
    system, twice = tried(tokenizer, template, SYSTEM), tried(tokenizer, template, TWICE)
    assert (system["folded"], twice["joined"]) == (folded, joined)
    for found in (system, twice):
        assert (found["question"], found["plain"], found["prompt"]) == ("", "", "")


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% for i in range(9) %}{{ f(n - 1) if n else '' }}{% endfor %}{% endmacro %}{{ f(40) }}",
        "{% set ns = namespace(x='a') %}{% for a in range(99999) %}{% set ns.x = ns.x + 'aaaa' * 99 %}{% endfor %}",
    ],
)
def test_a_template_that_does_not_end(tokenizer: Any, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_task, "SECONDS", 0.3)
    with pytest.raises(_OutOfTimeError):
        tried(tokenizer, template + CHATML)


def test_the_limit_is_lifted_at_the_end() -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_CPU), signal.getsignal(signal.SIGPROF)
    with _limited_time():
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        assert 0 < resource.getrlimit(resource.RLIMIT_CPU)[0] - used <= 8
    assert (resource.getrlimit(resource.RLIMIT_CPU), signal.getsignal(signal.SIGPROF)) == before
    assert signal.getitimer(signal.ITIMER_PROF)[0] == 0


def test_tokens_beyond_the_embedding(tokenizer: Any) -> None:
    assert _beyond(tokenizer, None)["beyond_count"] == 0
    last = max(tokenizer.get_vocab().values())
    nothing = {"beyond": [], "beyond_count": 0, "special_beyond": [], "named_beyond": []}
    assert _beyond(tokenizer, last + 1) == nothing
    tokenizer.add_tokens([f"<extra_{number}>" for number in range(20)])
    found = _beyond(tokenizer, last + 1)
    assert found["beyond"][0] == ["<extra_0>", last + 1] and found["beyond_count"] == 20
    assert len(found["beyond"]) == tokenizer_task.LISTED and not found["special_beyond"]


def test_special_tokens_beyond_the_embedding(tokenizer: Any) -> None:
    last = max(tokenizer.get_vocab().values())
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    found = _beyond(tokenizer, last + 1)
    assert found["beyond"] == [] and found["special_beyond"] == [["<image>", last + 1], ["[PAD]", last + 2]]
    assert found["named_beyond"] == [["pad_token", "[PAD]", last + 2]]
