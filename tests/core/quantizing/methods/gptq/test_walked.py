"""Which engine quantizes a target: faq-tui's own walk where it can, else GPTQModel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.methods.gptq.walked import refusal, uses_walk
from faq_tui.core.quantizing.output import read_manifest
from tests.support.quantize_bench import GPTQMODEL, WALK, Bench
from tests.support.tiny import make_tiny_mixture, make_tiny_model

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.quantize_bench"]
ADVICE = 'set engine = "auto", which uses the library GPTQModel for this target'


@pytest.fixture(scope="module")
def star_coder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPTBigCode. The model passes further arguments to its layers by position."""
    from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM

    folder = make_tiny_model(tmp_path_factory.mktemp("star"), layers=1, tied=False)  # its tokenizer and template
    config = GPTBigCodeConfig(
        vocab_size=512, n_embd=128, n_layer=2, n_head=4, n_positions=256, multi_query=False, initializer_range=0.1
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPTBigCodeForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def test_a_model_that_passes_arguments_by_position_is_walked(bench: Bench, star_coder: Path) -> None:
    messages = bench.here(bench.spec("star", model=str(star_coder)))
    manifest = read_manifest(bench.root / "star")
    assert manifest is not None and manifest["engine"] == WALK and len(manifest["losses"]) == 2 * 4
    assert [message["kind"] for message in messages].count("quantize_started") == 1


def test_widths_that_do_not_fill_words_are_left_to_gptqmodel(bench: Bench, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "odd", layers=1, intermediate=132)
    auto, walk = (
        QuantizationJob.from_spec(bench.spec("odd", model=str(model), group_size=-1, engine=engine))
        for engine in ("auto", WALK)
    )
    reason = r"128 x 132 weights of model\.layers\.0\.mlp\.down_proj do not fill whole words of 32 bits"
    assert not uses_walk(auto, model) and re.fullmatch(reason, refusal(auto.recipe, model, False))
    with pytest.raises(FaqError, match=rf'^engine = "walk" does not support this target: {reason}; {ADVICE}$'):
        uses_walk(walk, model)


def test_the_engine_of_a_mixture(bench: Bench, tmp_path: Path) -> None:
    model = make_tiny_mixture(tmp_path / "mixture")

    def chosen(**keys: Any) -> bool:
        return uses_walk(QuantizationJob.from_spec(bench.spec("mixture", model=str(model), **keys)), model)

    assert chosen() and chosen(engine=WALK)
    assert not chosen(engine=GPTQMODEL) and not chosen(experts="all")
    assert not chosen(method="gptaq", experts="all")
    with pytest.raises(UsageError, match='experts = "all" needs engine = "gptqmodel" or "auto"'):
        chosen(experts="all", engine=WALK)
