"""Shapes of records: fields, labels, turns, chats of every kind, tool turns, images, records without a question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.seeds.reasons import AUDIO, IMAGE, TOOLS, VIDEO
from faq_tui.core.seeds.shapes import ShapeError, read_seed, to_seed
from faq_tui.core.settings import Seeds
from faq_tui.core.store.seeds import Seed
from tests.support.seed_files import write
from tests.support.seed_stage import Made

SETTINGS = Seeds(path="x")


def seed_of(raw: Any, **settings: Any) -> Seed:
    return to_seed(raw, Seeds(path="x", **settings), "x:1")


def turns(seed: Seed) -> list[str]:
    """`user: What?` for each message, and the answer."""
    said = [f"{message['role']}: {message['content']}" for message in seed.messages]
    return said + ([f"answer: {seed.answer}"] if seed.answer else [])


# ---- fields, labels, the last question, records without one


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_fields_named_in_the_settings(tmp_path: Path, kind: str) -> None:
    records = [{"prompt": "no", "ask": f"q{n}", "answer": "no", "said": f"a{n}"} for n in range(5)]
    write(tmp_path / f"seeds.{kind}", records, kind)
    made = Made(tmp_path, path=f"seeds.{kind}", prompt_field="ask", answer_field="said")
    made.go()
    assert [(seed.question, seed.answer) for seed in made.seeds()] == [(f"q{n}", f"a{n}") for n in range(5)]


def test_label_category_and_language_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text(json.dumps({"id": 7, "category": "math", "language": "de", "question": "q"}) + "\n")
    made = Made(tmp_path, path="seeds.jsonl")
    made.go()
    (seed,) = made.seeds()
    assert (seed.label, seed.category, seed.language, seed.origin) == ("7", "math", "de", "seeds.jsonl:1")


@pytest.mark.parametrize(
    ("turns", "roles", "answer"),
    [
        (["user a", "assistant b", "user c", "assistant d"], ["user", "assistant", "user"], "d"),
        (["user a", "assistant b", "user c"], ["user", "assistant", "user"], None),
        (["assistant hi", "user a"], ["assistant", "user"], None),
        (["user a", "assistant  "], ["user"], None),
    ],
)
def test_the_last_question_and_what_followed(turns: list[str], roles: list[str], answer: str | None) -> None:
    messages = [dict(zip(("role", "content"), turn.split(" ", 1), strict=True)) for turn in turns]
    seed = to_seed({"messages": messages}, Seeds(path="x"), "x:1")
    assert ([message["role"] for message in seed.messages], seed.answer) == (roles, answer)


def test_content_in_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    seed = to_seed({"messages": [{"role": "user", "content": parts}]}, Seeds(path="x"), "x:1")
    assert seed.question == "a\nb"
    parts.insert(1, {"type": "image_url", "image_url": {}})  # type: ignore[dict-item]
    with pytest.raises(ShapeError, match="needs an image"):
        to_seed({"messages": [{"role": "user", "content": parts}]}, Seeds(path="x"), "x:1")


NESTED: Any = []
for _ in range(700):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (5, "is a int"),
        (None, "is nothing"),
        ([], "is a list"),
        ({}, "its fields are none"),
        ({"a": "x" * 10_000}, "its fields are a;"),
        ({"k" * 10_000: 1}, "its fields are kkk"),
        ({"question": "  "}, "no question"),
        ({"messages": []}, "no message of the user"),
        ({"messages": ["hello"]}, "text in its list of messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role 'robot'"),
        ({"messages": [{"role": NESTED, "content": "x"}]}, "has no role"),
        ({"messages": [{"role": "user"}]}, "message without content"),
        ({"messages": [{"role": "user", "content": " "}]}, "an empty message of the user"),
        ({"question": "half \ud800 a character"}, "lone surrogate"),
        ({"question": "whole", "answer": "\udfff"}, "lone surrogate"),
    ],
)
def test_records_without_a_question(value: Any, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason) as caught:
        to_seed(value, Seeds(path="x"), "x:1")
    assert len(str(caught.value)) < 500


# ---- system texts in a column of their own


@pytest.mark.parametrize(
    "raw",
    [
        {"system_message": "Be kind.", "messages": [{"role": "user", "content": "Why?"}]},
        {"system": " Be kind. ", "prompt": "Why?"},
        {"system_instruction": "Be kind.", "text": "Why?"},
        {"system_prompt": "Be kind.", "prompt": [{"role": "user", "content": "Why?"}]},
        {
            "system": "Be kind.",
            "messages": [{"role": "system", "content": None}, {"role": "user", "content": "Why?"}],
        },
        {"system": "Be kind.", "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "Why?"}]},
        {"developer": "Be kind.", "conversation": [{"from": "human", "value": "Why?"}]},
        {"instruction": "Be kind.", "question": "Why?"},
        {"conversation": [{"system": "Be kind.", "input": "Why?", "output": ""}]},
    ],
)
def test_a_system_column_becomes_the_system_turn(raw: dict[str, Any]) -> None:
    assert turns(seed_of(raw)) == ["system: Be kind.", "user: Why?"]


@pytest.mark.parametrize(
    "raw",
    [
        {"system": "", "prompt": "Why?"},
        {"system": None, "question": "Why?"},
        {"system_prompt": 5, "text": "Why?"},
        {"instruction": "Why?", "messages": [{"role": "user", "content": "Why?"}]},
    ],
)
def test_a_system_column_without_text_changes_nothing(raw: dict[str, Any]) -> None:
    assert turns(seed_of(raw)) == ["user: Why?"]


def test_a_second_system_text_is_left_out_and_counted() -> None:
    raw = {"system": "A", "messages": [{"role": "system", "content": "B"}, {"role": "user", "content": "Why?"}]}
    made = read_seed(raw, SETTINGS, "x:1")
    assert (turns(made.seed), made.left_out) == (["system: B", "user: Why?"], ("system",))
    assert turns(seed_of({"system": "A", "prompt": "Why?"}, fields={"system": ""})) == ["user: Why?"]


# ---- names of roles and texts, shapes of chats


@pytest.mark.parametrize("user", ["HUMAN", "prompter", "usr", "Customer", " user "])
@pytest.mark.parametrize("assistant", ["Model", "ChatGPT", "bot", "AI", "gpt4"])
@pytest.mark.parametrize(("role", "text"), [("from", "value"), ("role", "text"), ("speaker", "utterance")])
def test_names_of_roles(user: str, assistant: str, role: str, text: str) -> None:
    chat = [{role: user, text: "Why?"}, {role: assistant, text: "So."}]
    assert turns(seed_of({"dialog": chat})) == ["user: Why?", "answer: So."]


CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]


@pytest.mark.parametrize(
    "raw",
    [
        {"dialogue": ["Why?", "So."]},
        {"data": ["Why?", "So."]},
        {"conversations": {"from": ["human", "gpt"], "value": ["Why?", "So."]}},
        {"conversation": {"messages": CHAT}},
        {"messages": [[("role", "user"), ("content", "Why?")], [("role", "assistant"), ("content", "So.")]]},
        {"conversation": [{"human": "Why?", "assistant": "So."}]},
        {"row": {"question": "Why?", "answer": "So."}, "row_idx": 0},
        CHAT,
        {"messages": json.dumps(CHAT)},
        {"prompt": json.dumps(CHAT[:1]), "completion": "So."},
        {"text": json.dumps({"messages": CHAT})},
        json.dumps({"conversations": CHAT}),
        {"chat": [{"author": {"role": "user"}, "content": {"parts": ["Why?"]}}, CHAT[1]]},
        {"Question": "Why?", "Answer": "So."},
        {"chosen": "\n\nHuman: Why?\n\nAssistant: So.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
        {"messages": [{"role": "assistant", "content": None}, *CHAT]},
        {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}, CHAT[1]]},
    ],
)
def test_shapes_of_chats(raw: Any) -> None:
    assert turns(seed_of(raw)) == ["user: Why?", "answer: So."]


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
        {"prompt": CHAT[:1], "chosen": CHAT, "rejected": []},
        {"prompt": CHAT[:1], "response": "So."},
        {"prompt": "Why?", "chosen": CHAT, "rejected": CHAT[:1]},
        {"chosen": CHAT, "rejected": [*CHAT[:1], {"role": "assistant", "content": "No."}]},
        {"prompt": "Why?", "chosen": "So.", "rejected": "No."},
        {"question": "Why?", "answers": ["So.", "Because."]},
        {"question": "Why?", "answers": {"text": ["So."], "answer_start": [3]}},
    ],
)
def test_prompts_and_answers_as_lists(raw: Any) -> None:
    assert turns(seed_of(raw)) == ["user: Why?", "answer: So."]


@pytest.mark.parametrize("settings", [{}, {"prompt_field": "prompt"}, {"shape": "prompt"}, {"shape": "messages"}])
def test_a_prompt_of_messages_is_read_by_every_way_to_name_it(settings: dict[str, str]) -> None:
    assert turns(seed_of({"prompt": CHAT[:1], "completion": CHAT[1:]}, **settings)) == ["user: Why?", "answer: So."]


def test_alpaca_history_and_several_prompts() -> None:
    raw = {"instruction": "And?", "output": "So.", "history": [["Why?", "Hm."]]}
    assert turns(seed_of(raw)) == ["user: Why?", "assistant: Hm.", "user: And?", "answer: So."]
    made = read_seed({"prompt": ["Why?", "And?"]}, SETTINGS, "x:1")
    assert (turns(made.seed), made.left_out) == (["user: Why?"], ("further prompts",))


def test_fields_named_by_the_settings_also_within_objects() -> None:
    raw = {"d": {"ask": "Why?", "say": "So.", "who": "Be kind."}, "question": "no", "key": 7, "t": "math"}
    named = {"prompt": "d.ask", "answer": "d.say", "system": "d.who", "id": "key", "category": "t"}
    seed = seed_of(raw, fields=named)
    assert turns(seed) == ["system: Be kind.", "user: Why?", "answer: So."]
    assert (seed.label, seed.category) == ("7", "math")
    assert turns(seed_of({"log": {"m": CHAT}}, fields={"messages": "log.m"})) == ["user: Why?", "answer: So."]
    with pytest.raises(ShapeError, match="in the field nowhere"):
        seed_of(raw, fields={"messages": "nowhere"})


# ---- tool turns

CALL = {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "after",
    [
        [{"role": "ipython", "content": "1"}],
        [CALL, {"role": "function", "name": "f", "content": "1"}],
        [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}],
        [{"from": "gpt", "value": "<tool_call>{}</tool_call>"}, {"from": "tool_response", "value": "1"}],
        [
            {"role": "tool_call", "content": "{}"},
            {"role": "tool", "content": None},
            {"role": "user", "content": "And?"},
        ],
        [{"role": "Observation", "content": "1"}],
    ],
)
def test_a_chat_ends_before_its_first_tool_call(after: list[dict[str, Any]]) -> None:
    made = read_seed({"messages": [{"role": "user", "content": "Why?"}, *after]}, SETTINGS, "x:1")
    assert (turns(made.seed), made.left_out) == (["user: Why?"], (TOOLS,))


@pytest.mark.parametrize("first", [CALL, {"role": "tool", "content": "1"}, {"from": "observation", "value": "1"}])
def test_a_chat_that_begins_with_a_tool_says_so(first: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="calls a tool") as caught:
        seed_of({"messages": [first, *CHAT]})
    assert caught.value.reason == TOOLS


# ---- images, sounds, films


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (
            {"messages": [{"role": "user", "content": [{"type": "input_image"}, {"type": "text", "text": "a"}]}]},
            IMAGE,
        ),
        ({"messages": [{"role": "user", "content": "Who?", "images": ["a.png"]}]}, IMAGE),
        ({"question": "Which colour has the car?", "image": {"bytes": b"\x89PNG", "path": None}}, IMAGE),
        ({"question": "Read <image 1> and <image 2>.", "answer": "x"}, IMAGE),
        ({"prompt": "<|image_pad|>What is it?"}, IMAGE),
        ({"text": "What is it?\n<image>"}, IMAGE),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}, {"text": "What?"}]}]}, AUDIO),
        ({"conversations": [{"from": "human", "value": "<video>\nWhat happens?"}], "video": "a.mp4"}, VIDEO),
        ({"question": "What is said?", "audio": {"array": [0.1], "path": "a.wav"}}, AUDIO),
    ],
)
def test_a_question_that_rests_on_more_than_text_is_set_aside(raw: dict[str, Any], reason: str) -> None:
    with pytest.raises(ShapeError, match="needs") as caught:
        seed_of(raw)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "raw",
    [
        {"question": "What does the HTML tag <image> do?", "image": None},
        {"question": "Why is this wrong?\n<video>\n<source src=a>\n</video>", "images": []},
        {"messages": [{"role": "user", "content": "How large is an image?"}], "image": ""},
    ],
)
def test_a_question_about_images_is_a_question(raw: dict[str, Any]) -> None:
    assert seed_of(raw).question.startswith(("What", "Why", "How"))
