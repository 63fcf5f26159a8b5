"""The whole card: what the hub reads of it, and what must never be in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.model_card.evidence import evidence_lines
from faq_tui.core.model_card.licence import Licence
from faq_tui.core.model_card.target_card import TargetCard
from faq_tui.core.model_card.text import MARK, ModelCardFacts, model_card
from faq_tui.core.store.artefacts import all_artefacts
from tests.support.made_up import made_up_run
from tests.support.model_cards import CONFIG, front_matter_of, make_folders, manifest_of

QWEN = TargetCard("Qwen/Qwen3-8B", "Qwen/Qwen3-8B", Licence("apache-2.0"), ("en", "no"))
ELDER = "gptq-w4g64-elder"


def card_of(tmp_path: Path, target: TargetCard = QWEN, **changes: Any) -> str:
    facts = {name: changes.pop(name) for name in ("place", "quantized_by", "data_set") if name in changes}
    with made_up_run(tmp_path / "run") as run:
        make_folders(run)
        evidence = evidence_lines(None, all_artefacts(run.store)[ELDER])
        manifest = manifest_of(run, "elder", **changes)
        return model_card(
            ModelCardFacts(run.models / ELDER, manifest, target, evidence, **{"place": "models/x", **facts})
        )


def test_the_front_matter_is_what_the_hub_reads(tmp_path: Path) -> None:
    card = card_of(tmp_path, place="me/mine", quantized_by="me", data_set="me/mine-calibration")
    assert front_matter_of(card) == {
        "base_model": "Qwen/Qwen3-8B",
        "base_model_relation": "quantized",
        "quantized_by": "me",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "apache-2.0",
        "language": ["en", "no"],
        "datasets": ["me/mine-calibration"],
        "tags": ["faq-tui", "family-aware-quantization", "gptq", "4-bit"],
    }
    assert "vllm serve me/mine\n" in card and "datasets/me/mine-calibration" in card
    assert card.partition("\n---\n")[2].startswith(MARK)


def test_a_target_without_an_id_or_a_licence_states_neither(tmp_path: Path) -> None:
    card = card_of(tmp_path, TargetCard("my-model"))
    keys = front_matter_of(card).keys()
    assert not keys & {"base_model", "base_model_relation", "license", "language", "datasets"}
    assert "The licence of the target is unknown" in card and "# my-model, GPTQ, 4 bits" in card


def test_a_licence_without_an_identifier_has_its_name_and_link(tmp_path: Path) -> None:
    own = Licence("other", "tongyi-qianwen", "https://example.org/LICENSE")
    stated = front_matter_of(card_of(tmp_path, TargetCard("a/b", "a/b", own)))
    assert {key: stated[key] for key in stated if key.startswith("license")} == {
        "license": "other",
        "license_name": "tongyi-qianwen",
        "license_link": "https://example.org/LICENSE",
    }


def test_a_link_of_the_target_stays_one_link(tmp_path: Path) -> None:
    link = "https://example.org/)![picture](https://example.org/follow.png"
    card = card_of(tmp_path, TargetCard("a/b", "a/b", Licence("other", "own", link)))
    assert f"([its text](<{link}>))" in card


@pytest.mark.parametrize(
    "calibration",
    [
        {"set": None, "samples": "many", "tokens": None, "sources": ["x"], "seeds": "x", "prose": "x", "judge": "x"},
        {"sources": {"a": "x", "b": {"sampling": "x"}}, "prose": {"share": "x"}, "assemble": {"max_tokens": "x"}},
    ],
)
def test_facts_of_an_unexpected_type_are_left_out(tmp_path: Path, calibration: dict[str, Any]) -> None:
    assert "0 samples, 0 tokens" in card_of(tmp_path, calibration=calibration)


def test_a_mixture_of_experts_is_for_vllm(tmp_path: Path) -> None:
    assert front_matter_of(card_of(tmp_path, experts=[{"layer": 0}]))["library_name"] == "vllm"


def test_no_path_of_this_machine_and_no_markup_of_strangers_is_in_the_card(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\n# Heading [x](javascript:y) | \x1b[31m `"
    calibration: dict[str, Any] = {
        "set": "elder",
        "samples": 1,
        "tokens": 2,
        "seeds": {"path": "/home/alice/my secrets/seeds.jsonl", "count": hostile, "sample_seed": hostile},
        "sources": {"elder": {"model": hostile, "reasoning": "native", "prompt": "none", "sampling": {}}},
        "judge": {"kind": "llm", "model": "/home/alice/judge"},
        "prose": {"share": 0.5, "file": "~/books/prose.txt"},
    }
    card = card_of(tmp_path, calibration=calibration)
    assert "alice" not in card and "secrets" not in card and "books" not in card and str(tmp_path) not in card
    assert "seeds.jsonl" in card and "prose.txt" in card
    assert "<script" not in card.replace("\\<", "") and "\x1b" not in card and "\n# Heading" not in card


def test_a_manifest_of_an_older_version_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    card = model_card(ModelCardFacts(folder, {"recipe": {"method": "gone", "bits": 3}}, QWEN, [], "models/old"))
    assert "Qwen3-8B, gone, 3 bits" in card and "does not describe the calibration set" in card


def test_the_recipe_says_what_the_first_tokens_count(tmp_path: Path) -> None:
    assert "share of the first tokens" not in card_of(tmp_path / "plain")
    shared = card_of(tmp_path / "shared", weights={"first_token": 3.7, "sink_share": 0.03, "loss": "…"})
    assert re.search(r"\| share of the first tokens +\| 0\.03 +\|", shared)
    left_out = card_of(tmp_path / "left", weights={"not_used": "a <b> gets other tokens"})
    assert re.search(r"\| weights of tokens +\| not used: a \\<b\\?> gets other tokens", left_out)
