"""Who is an elder: names as servers spell them, files that confirm or contradict, and what is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faq_tui.core.family import (
    FAMILY,
    SAME_TOKENIZER,
    STRANGER,
    ModelProfile,
    badges,
    check_sources,
    is_quick,
    kinship,
    suggestions,
    warnings,
)
from faq_tui.core.family.known import bare_name, billions, by_name, families
from faq_tui.core.models.model_files import ModelFiles
from faq_tui.core.run.run import open_run

QWEN3, QWEN3_MOE = {"model_type": "qwen3", "vocab_size": 151936}, {"model_type": "qwen3_moe", "vocab_size": 151936}
R1 = {"model_type": "deepseek_v3", "vocab_size": 129280}
LLAMA3 = {"model_type": "llama", "vocab_size": 128256}
WORDS = {"qwen": "the quick brown fox", "deepseek": "a wholly other vocabulary", "llama": "drama of the llama"}
MARKS = {"qwen": ["<|im_start|>", "<|im_end|>"], "deepseek": ["<｜User｜>"], "llama": ["<|eot_id|>"]}


def model(
    folder: Path, config: dict[str, Any] | None, tokenizer: str | None, template: str = "", card: str = ""
) -> ModelFiles:
    """A model's small files; `tokenizer` names one of WORDS."""
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if tokenizer is not None:
        pieces = sorted({*WORDS[tokenizer], *WORDS[tokenizer].split()})
        body = {
            "model": {"vocab": {p: i for i, p in enumerate(pieces)}, "merges": [[p[:1], p[1:]] for p in pieces[1:]]},
            "added_tokens": [{"content": mark, "special": True} for mark in MARKS[tokenizer]],
        }
        (folder / "tokenizer.json").write_text(json.dumps(body))
    if template:
        (folder / "chat_template.jinja").write_text(template)
    if card:
        (folder / "README.md").write_text(card)
    found = ModelFiles.of_folder(folder)
    assert found is not None
    return found


# ---- the paper's pairs

PAIRS = [
    ("Qwen3-8B", "Qwen3-235B-A22B"),
    ("Qwen3-30B-A3B", "Qwen3-235B-A22B"),
    ("Llama3.1-8B-Instruct", "Llama-3.1-405B-Instruct"),
    ("DeepSeek-R1", "DeepSeek-R1"),
    ("DeepSeek-R1-0528-Qwen3-8B", "Qwen3-235B-A22B"),
]
SPELLINGS = [
    "{}",
    "org/{}",
    "{}-FP8",
    "/models/{}",
    "/models/{}/",
    "{}-GPTQ-Int4",
    "models--org--{}/snapshots/0a1b2c",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("target", "elder"), PAIRS)
def test_the_papers_elders_by_name_alone(target: str, elder: str, spelling: str) -> None:
    found = kinship(ModelProfile(target), ModelProfile(spelling.format(elder)))
    assert found.verdict == FAMILY and found.known and found.reasons
    assert found.itself == (target == elder) and found.larger == (target != elder)


FILES = {
    "Qwen3-8B": (QWEN3, "qwen"),
    "Qwen3-30B-A3B": (QWEN3_MOE, "qwen"),
    "Qwen3-235B-A22B": (QWEN3_MOE, "qwen"),
    "Llama3.1-8B-Instruct": (LLAMA3, "llama"),
    "Llama-3.1-405B-Instruct": (LLAMA3, "llama"),
    "DeepSeek-R1": (R1, "deepseek"),
    "DeepSeek-R1-0528-Qwen3-8B": (QWEN3, "deepseek"),  # as its card says
}


@pytest.mark.parametrize("which", ["both", "target", "elder", "the elder's tokenizer"])
@pytest.mark.parametrize(("target", "elder"), PAIRS)
def test_the_papers_elders_with_files(tmp_path: Path, target: str, elder: str, which: str) -> None:
    ours = model(tmp_path / "t", *FILES[target]) if which in ("both", "target") else None
    config = None if which == "the elder's tokenizer" else FILES[elder][0]
    theirs = model(tmp_path / "e", config, FILES[elder][1]) if which != "target" else None
    assert kinship(ModelProfile(target, ours), ModelProfile(elder, theirs)).verdict == FAMILY


@pytest.mark.parametrize("served_as", ["DeepSeek-R1", "teacher"])
@pytest.mark.parametrize("tokenizer", ["deepseek", "qwen"])
def test_equal_tokenizer_files_alone_make_no_family(tmp_path: Path, served_as: str, tokenizer: str) -> None:
    target = ModelProfile("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", model(tmp_path / "t", QWEN3, tokenizer))
    teacher = ModelProfile(served_as, model(tmp_path / "r1", R1, "deepseek"))
    found = kinship(target, teacher)
    assert found.verdict == (SAME_TOKENIZER if tokenizer == "deepseek" else STRANGER)
    said = "; ".join(found.reasons)
    assert "another architecture: deepseek_v3" in said
    assert ("DeepSeek-R1-0528-Qwen3-8B was distilled from" in said) == (served_as == "DeepSeek-R1")
    elder = ModelProfile("Qwen3-235B-A22B", model(tmp_path / "q", QWEN3_MOE, "qwen"))
    assert kinship(target, elder).verdict == FAMILY


# ---- files where names say nothing


def test_a_folder_is_known_by_its_config_or_by_what_it_comes_from(tmp_path: Path) -> None:
    elder = ModelProfile("Qwen3-235B-A22B-FP8")
    by_config = ModelProfile("./my-model", model(tmp_path / "a", QWEN3, None))
    card = "---\nbase_model:\n- Qwen/Qwen3-8B-Base\n---\n"
    by_card = ModelProfile("./tuned", model(tmp_path / "b", None, None, card=card))
    by_path = ModelProfile("./tuned", model(tmp_path / "c", {"_name_or_path": "/data/Qwen3-8B"}, None))
    for target in (by_config, by_card, by_path):
        found = kinship(target, elder)
        assert found.verdict == FAMILY and "Qwen3 family" in found.reasons[0]
    other = ModelProfile("./other", model(tmp_path / "d", {"model_type": "llama", "vocab_size": 5}, None))
    found = kinship(other, elder)
    assert found.verdict == STRANGER and found.known and "another architecture" in found.reasons[-1]


def test_unknown_names_are_compared_by_all_their_files(tmp_path: Path) -> None:
    config = {"model_type": "newarch", "vocab_size": 40}
    target = ModelProfile("small", model(tmp_path / "t", config, "qwen", template="T"))

    def verdict(name: str, *given: Any, **more: Any) -> str:
        return kinship(target, ModelProfile(name, model(tmp_path / name, *given, **more))).verdict

    assert verdict("a", config, "qwen", template="T") == FAMILY
    assert verdict("b", config, "qwen", template="another") == FAMILY  # its special tokens are the same
    assert verdict("c", {"model_type": "other", "vocab_size": 40}, "qwen", template="T") == SAME_TOKENIZER
    assert verdict("d", None, "qwen") == SAME_TOKENIZER
    assert verdict("e", config, "llama", template="T") == STRANGER
    assert verdict("f", config, None) == STRANGER


def test_names_that_the_files_contradict(tmp_path: Path) -> None:
    target = ModelProfile("Qwen3-8B", model(tmp_path / "t", QWEN3, "qwen"))
    liar = ModelProfile("Qwen3-235B-A22B", model(tmp_path / "l", LLAMA3, "llama"))
    assert kinship(target, liar).verdict == STRANGER


def test_what_nothing_tells_is_said_to_be_unknown() -> None:
    found = kinship(ModelProfile("Qwen3-8B"), ModelProfile("gpt-mystery"))
    assert found.verdict == STRANGER and not found.known
    assert "no file on this machine identifies the family of gpt-mystery" in found.reasons
    assert kinship(ModelProfile("Qwen3-8B"), ModelProfile("Llama-3.1-405B")).known


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("Qwen3-8B", "Qwen2.5-72B-Instruct"),
        ("Qwen2.5-7B", "Qwen3-235B-A22B"),
        ("SmolLM2-135M-Instruct", "SmolLM3-3B"),
        ("gemma-2-9b-it", "gemma-3-27b-it"),
        ("Mistral-7B-Instruct-v0.3", "Mistral-Small-24B-Instruct-2501"),
        ("gpt-oss-20b", "Llama-3.1-405B"),
        ("DeepSeek-R1-Distill-Qwen-7B", "DeepSeek-R1"),
        ("DeepSeek-R1-Distill-Llama-8B", "DeepSeek-R1-Distill-Qwen-32B"),
    ],
)
def test_strangers_by_name(target: str, source: str) -> None:
    found = kinship(ModelProfile(target), ModelProfile(source))
    assert found.verdict == STRANGER and found.known


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("DeepSeek-R1-Distill-Qwen-7B", "Qwen2.5-72B-Instruct"),
        ("DeepSeek-R1-Distill-Llama-8B", "meta-llama/Llama-3.3-70B-Instruct"),
        ("Llama-3.2-1B", "Meta-Llama-3.1-405B-Instruct-FP8"),
        ("gpt-oss-20b", "openai/gpt-oss-120b"),
        ("gemma-3-4b-it", "google/gemma-3-27b-it-qat-q4_0-gguf"),
        ("SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct"),
        ("Qwen3-0.6B", "qwen3:32b"),
        ("Qwen3-4B-Instruct-2507", "RedHatAI/Qwen3-32B-quantized.w4a16"),
        ("mistral-nemo-instruct-2407", "Mistral-Small-3.1-24B-Instruct-2503"),
    ],
)
def test_relatives_by_name(target: str, source: str) -> None:
    assert kinship(ModelProfile(target), ModelProfile(source)).verdict == FAMILY


def test_a_smaller_relative_is_no_elder() -> None:
    assert kinship(ModelProfile("Qwen3-32B"), ModelProfile("Qwen3-8B")).larger is False
    assert kinship(ModelProfile("Qwen3-8B"), ModelProfile("Qwen3-32B")).larger is True
    assert kinship(ModelProfile("Mixtral-8x7B-v0.1"), ModelProfile("Mistral-7B-v0.1")).larger is False
    assert (billions("SmolLM2-135M"), billions("Mixtral-8x22B"), billions("phi-4")) == (0.135, 176.0, None)


def test_each_suggested_elder_is_of_its_family_and_they_fall_in_size() -> None:
    for family in families():
        sizes = [size for _, size in family.elders]
        assert sizes == sorted(sizes, reverse=True) and family.elders
        for name, size in family.elders:
            assert by_name(name) is family
            told = billions(name)
            assert told is None or told == size or family.id in ("llama-4", "mistral", "deepseek-v3", "glm-4.5")


# ---- a run


def test_a_source_may_name_a_folder_with_its_tokenizer(tmp_path: Path) -> None:
    model(tmp_path / "target", {"model_type": "one"}, "qwen")
    model(tmp_path / "big", None, "qwen")
    text = '[target]\nmodel = "./target"\n[seeds]\npath = "starter"\n[sources.elder]\nbase_url = "http://e/v1"\n'
    for more, verdict, quick in (("", STRANGER, True), ('files = "big"\n', SAME_TOKENIZER, False)):
        (tmp_path / "faq.toml").write_text(f'{text}model = "served"\n{more}')
        with open_run(tmp_path) as run:
            (found,) = check_sources(run)
            assert (found.kinship.verdict, is_quick(run)) == (verdict, quick)
            assert badges(run) == {"elder": verdict if more else "family unknown"}
            assert suggestions(run) == [] and "source elder: served" in warnings(run)[0]


def test_the_target_itself_in_every_way_to_name_it(tmp_path: Path) -> None:
    text = '[target]\nmodel = "{}"\n[seeds]\npath = "starter"\n[sources.{}]\nbase_url = "{}"\nmodel = "{}"\n'
    ways = [("Qwen/Qwen3-8B", "self", "http://e/v1", "any"), ("embedded", "elder", "embedded", "x")]
    ways += [("Qwen/Qwen3-8B", "elder", "http://e/v1", "qwen3-8b-fp8")]
    for way in ways:
        (tmp_path / "faq.toml").write_text(text.format(*way))
        with open_run(tmp_path) as run:
            (found,) = check_sources(run)
            assert found.kinship.itself and warnings(run) == [] and set(badges(run).values()) == {""}


def test_suggested_elders_are_larger_than_the_target(tmp_path: Path) -> None:
    for target, elders in (
        ("Qwen3-14B", ["Qwen/Qwen3-235B-A22B", "Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B"]),
        ("Qwen3-32B", ["Qwen/Qwen3-235B-A22B"]),
        ("gpt-oss-120b", []),
        ("DeepSeek-R1", []),
    ):
        (tmp_path / "faq.toml").write_text(f'[target]\nmodel = "{target}"\n[seeds]\npath = "starter"\n')
        with open_run(tmp_path) as run:
            assert suggestions(run) == elders


# ---- hostile and broken


@given(st.text(max_size=60))
@example("\\ 0")
@example("meta-meta-x")
def test_any_name_is_taken(name: str) -> None:
    assert kinship(ModelProfile(name), ModelProfile(name + "x")).verdict in (FAMILY, SAME_TOKENIZER, STRANGER)
    assert bare_name(bare_name(name)) == bare_name(name)


BROKEN = ["", "[1, 2]", "{", '{"model": 3, "added_tokens": {"a": 1}}', "[" * 9999, '{"model": {"vocab": [3]}}']


@pytest.mark.parametrize("text", BROKEN)
def test_broken_files_tell_nothing(tmp_path: Path, text: str) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(text)
    files = ModelFiles.of_folder(tmp_path)
    assert files is not None
    found = kinship(ModelProfile("a", files), ModelProfile("b", files))
    assert found.verdict == STRANGER and not found.known
