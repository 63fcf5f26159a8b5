"""A target is refused if the walk would leave most of its weights unquantized, or would compute wrong inputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.layer_source import open_stack
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.quantizing.sequential import walk
from faq_tui.core.quantizing.sequential.batching import Ordering, SolvedMatrix
from faq_tui.core.quantizing.sequential.groups import linears
from faq_tui.core.quantizing.sequential.walk_check import walk_refusal
from faq_tui.core.quantizing.sequential.weights import padded
from tests.support.architectures import make

pytestmark = pytest.mark.slow

MOST_ARE_LEFT = {"jetmoe": r"only 2% .* model\.layers\.0\.mlp\.input_linear", "nemotron_h": r"only \d+% .*experts"}


@pytest.mark.parametrize("kind", MOST_ARE_LEFT)
@pytest.mark.parametrize("packed", [True, False])
def test_unusual_experts_are_not_left_out_silently(kind: str, packed: bool, tmp_path: Path) -> None:
    why = walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=packed)
    assert re.search(MOST_ARE_LEFT[kind], why), why


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rwkv", "RwkvBlock is called in an unsupported form"),
    ],
)
def test_layers_that_cannot_be_run_one_at_a_time_are_found_without_weights(
    kind: str, reason: str, tmp_path: Path
) -> None:
    assert walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=False) == reason


def test_a_recipe_with_token_weights_is_refused_if_a_module_gets_other_tokens_than_its_layer(tmp_path: Path) -> None:
    target = make("deepseek_v4", tmp_path / "target")
    why = walk_refusal(target, trust_remote_code=False, packed=False, weighted=True)
    assert why.startswith("self_attn.o_a_proj does not get the same tokens as its layer")
    assert walk_refusal(target, trust_remote_code=False, packed=False) == ""


# Zaya calls a projection a second time with other tokens. Gemma 3n's last layers need values of earlier layers.
@pytest.mark.parametrize("kind", ["zaya", "gemma3n_text", "qwen3_5_moe_text", "llama4"])
def test_the_tokens_of_other_models_can_be_weighted(kind: str, tmp_path: Path) -> None:
    assert walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=False, weighted=True) == ""


@pytest.mark.parametrize("found", [True, False])
def test_on_a_gpu_such_a_model_is_quantized_once_and_without_padding(
    found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the trial call does not find the module, the walk begins again without padding."""
    stack = open_stack(make("deepseek_v4", tmp_path / "target"), False)
    monkeypatch.setattr(walk.LayerWalk, "pads", lambda self: True)
    if not found:
        monkeypatch.setattr(walk, "refusal_of_weights", lambda _stack: "")
    begun: list[int] = []

    def noted(rows: Any, weights: Any, multiple: int) -> Any:
        begun.append(multiple)
        return padded(rows, weights, multiple)

    monkeypatch.setattr(walk, "padded", noted)

    def solve(names: list[list[str]], weights: list[Any], _factor: Any, _check: Any) -> dict[str, SolvedMatrix]:
        return {
            name: SolvedMatrix(weights[place][at], 0.0)
            for at, sharing in enumerate(names)
            for place, name in enumerate(sharing)
        }

    progress = QuantizationProgress(lambda _kind, **_body: None, CancelToken())
    walked = walk.LayerWalk(
        stack, ["cpu"], Ordering(0.01), solve, lambda *_: None, lambda _layer: None, progress, CancelToken()
    )
    walked.run([[3, 4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4, 3]])
    assert begun == [1 if found else walk.CUDA_MULTIPLE]
    done = [(one["layer"], one["module"]) for one in progress.losses]
    assert len(done) == len(set(done)) == sum(len(linears(layer)) for layer in stack.layers)


@pytest.mark.parametrize("kind", ["llama", "gemma4_text", "opt", "qwen2_5_vl"])
def test_other_models_are_not_refused(kind: str, tmp_path: Path) -> None:
    assert walk_refusal(make(kind, tmp_path / kind), trust_remote_code=False, packed=True) == ""
