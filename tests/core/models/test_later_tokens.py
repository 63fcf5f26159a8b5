"""A model whose logits depend on later tokens is found by a call with random weights, before anything is paid for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.models.later_tokens import _states, refusal_of_states
from faq_tui.core.models.text_model import empty_model
from tests.support.architectures import COMMON, LATENT, ROUTED, config_of, make

SEES = "a token sees the tokens after it: faq-tui cannot evaluate it"
KINDS = ["linear_attention", "full_attention"] * 3
PROPHET = {key: value for key, value in COMMON.items() if key != "num_hidden_layers"} | {
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "num_encoder_attention_heads": 4,
    "num_decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "is_decoder": True,
    "add_cross_attention": False,
}


def refusal(kind: str, folder: Path, **settings: Any) -> str:
    return refusal_of_states(empty_model(config_of(kind, folder, **settings), False))


def test_attention_in_both_directions_is_found(tmp_path: Path) -> None:
    for name, both in (("one", False), ("both", True)):
        why = refusal("gemma", tmp_path / name, **COMMON, use_bidirectional_attention=both)
        assert why == f"in GemmaForCausalLM, {SEES}" * both


def test_a_mask_that_shows_all_tokens_is_found(tmp_path: Path) -> None:
    why = refusal("cpmant", tmp_path, **COMMON, dim_head=16, dim_ff=128, prompt_length=4)
    assert why == f"in CpmAntForCausalLM, {SEES}"


def test_a_model_that_predicts_several_tokens_at_once_is_refused(tmp_path: Path) -> None:
    why = refusal("prophetnet", tmp_path, **PROPHET)
    assert why == (
        "ProphetNetForCausalLM does not have one state for each token before its lm_head: faq-tui cannot evaluate it"
    )


def test_a_model_that_hides_later_tokens_only_by_masks_is_accepted(tmp_path: Path) -> None:
    settings = {**COMMON, "d_model": 64, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 128}
    assert not refusal("bigbird_pegasus", tmp_path, **settings, is_decoder=True)


def test_sizes_in_the_config_that_contradict_each_other_are_found(tmp_path: Path) -> None:
    sizes = {**COMMON, **LATENT, **ROUTED, "num_hidden_layers": 3}
    why = refusal("glm4_moe_lite", tmp_path / "odd", **{**sizes, "num_key_value_heads": 2})
    assert re.fullmatch(
        r"Glm4MoeLiteForCausalLM cannot compute with the sizes in its config\.json \(.*\): fetch the model again", why
    )
    assert not refusal("glm4_moe_lite", tmp_path / "even", **sizes)


def test_an_error_of_the_models_own_code_is_found(tmp_path: Path) -> None:
    sizes = {**COMMON, "is_decoder": True}
    why = refusal("xmod", tmp_path, **sizes)
    assert why.startswith("XmodForCausalLM cannot be called on text alone (Input language unknown.")


def test_only_one_layer_of_each_kind_gets_weights(tmp_path: Path) -> None:
    model = empty_model(make("qwen3_next", tmp_path, num_hidden_layers=6, layer_types=KINDS), False)
    assert not refusal_of_states(model)
    assert [not next(layer.parameters()).is_meta for layer in model.model.layers] == [True, True, *[False] * 4]


@pytest.mark.parametrize("kind", ["bloom", "nemotron_h", "rwkv", "mamba2", "gpt_oss"])
def test_layers_of_any_form_are_called(kind: str, tmp_path: Path) -> None:
    import torch

    model = empty_model(make(kind, tmp_path), False)
    states = _states(model, [])
    assert states.shape == (3, 4, model.config.hidden_size) and not torch.isnan(states).any()
