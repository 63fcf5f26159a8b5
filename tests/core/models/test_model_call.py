"""What faq-tui cannot do with an architecture is found by calling the model without its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.models import backbone
from faq_tui.core.models.model_call import refusal_of_logits
from faq_tui.core.models.streamed import refusal_of_layers
from faq_tui.core.models.text_model import auto_class, empty_model
from tests.support.architectures import COMMON, EYE, config_of, make

SMALL = {**COMMON, "ffn_dim": 128, "word_embed_proj_dim": 64}


def blip_2(folder: Path) -> Path:
    parts = {name: {**SMALL, "encoder_hidden_size": 32} for name in ("text_config", "qformer_config")}
    parts["text_config"]["model_type"] = "opt"
    return config_of("blip-2", folder, **parts, vision_config=EYE)


def test_a_model_that_cannot_read_text_alone_is_refused(tmp_path: Path) -> None:
    why = refusal_of_logits(empty_model(blip_2(tmp_path), False))
    assert why.startswith("Blip2ForConditionalGeneration cannot be called on text alone (") and "pixel_values" in why
    assert why.endswith("faq-tui cannot evaluate it") and "\n" not in why


def test_a_model_without_a_plain_head_is_refused(tmp_path: Path) -> None:
    text = {**COMMON, "num_key_value_heads": 4}
    folder = config_of("blip", tmp_path, text_config=text, vision_config=EYE)
    why = refusal_of_logits(empty_model(folder, False))
    assert why == "BlipForConditionalGeneration has no plain lm_head: faq-tui cannot evaluate it"


def test_a_head_with_another_width_than_the_decoder_is_accepted(tmp_path: Path) -> None:
    sizes = {**COMMON, "is_decoder": True, "input_embedding_size": 32, "output_embedding_size": 96}
    assert not refusal_of_logits(empty_model(config_of("rembert", tmp_path, **sizes), False))


@pytest.mark.parametrize("kind", ["falcon_h1", "aya_vision", "qwen2_moe"])
def test_an_unknown_scale_of_the_logits_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(kind, tmp_path / kind)
    assert not refusal_of_logits(empty_model(folder, False))
    monkeypatch.setattr(backbone, "_scale", lambda _config: 1.5)
    assert "changes its logits after lm_head in a way unknown to faq-tui" in refusal_of_logits(
        empty_model(folder, False)
    )


def test_a_model_with_other_weights_before_its_head_cannot_be_read_layer_by_layer(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = {**COMMON, "is_decoder": True}
    AutoModelForCausalLM.from_config(AutoConfig.for_model("bert", **settings)).save_pretrained(tmp_path)
    why = refusal_of_layers(tmp_path, False)
    assert why.startswith(f"{tmp_path} cannot be read layer by layer (") and 'set target.read = "whole"' in why


def test_a_class_for_text_alone_is_used_only_if_transformers_can_build_it() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    for kind, expected in (("mllama", AutoModelForImageTextToText), ("llama4", AutoModelForCausalLM)):
        assert auto_class(AutoConfig.for_model(kind)) is expected
