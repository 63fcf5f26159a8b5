"""Each architecture goes through every stage that reads its weights, or is refused in one sentence beforehand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.activations.capture import measure
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.headers import tensors_of
from faq_tui.core.models.hidden_states import states_bytes
from faq_tui.core.models.layer_source import open_stack
from faq_tui.core.models.model_call import refusal_of_logits
from faq_tui.core.models.stack import capture, find_stack, hidden_of
from faq_tui.core.models.streamed import StreamedBackbone, open_stream, refusal_of_layers
from faq_tui.core.models.text_model import empty_model
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.library_definitions import is_advisable, library_refusal
from faq_tui.core.settings.recipe import build_recipe
from tests.support.architectures import MULTIMODAL, TEXT, make, write_rows
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

KINDS = [*TEXT, *MULTIMODAL]
METHODS: dict[str, dict[str, Any]] = {
    "gptq": {"bits": 4, "group_size": 32, "engine": "walk"},
    "spqr": {"bits": 4, "group_size": 32},
    "w8a8": {"bits": 8},
}
ONE_TENSOR = r"its files store all experts of a layer as one tensor \S+, and no server reads packed weights"
# All other pairs work.
REFUSED = {
    (kind, method): ONE_TENSOR
    for kind in ("granitemoe", "granitemoehybrid", "gpt_oss")
    for method in ("gptq", "w8a8")
} | {
    ("sarvam_moe", method): r"its files store the weights of \S+ as a part of \S+, which cannot be packed"
    for method in ("gptq", "w8a8")
}
# The output projection of the attention, where it is not `self_attn.o_proj`.
OUTPUT = {
    "phi": "self_attn.dense",
    "gpt_neox": "attention.dense",
    "biogpt": "self_attn.out_proj",
    "gpt2": "attn.c_proj",
    "openai-gpt": "attn.c_proj",
    "recurrent_gemma": "temporal_block.o_proj",
    "gpt_bigcode": "attn.c_proj",
    "gptj": "attn.out_proj",
    "gpt_neo": "attn.attention.out_proj",
    "bloom": "self_attention.dense",
    "mpt": "attn.out_proj",
    "opt": "self_attn.out_proj",
    "falcon": "self_attention.dense",
    "lfm2": "self_attn.out_proj",
    "lfm2_moe": "self_attn.out_proj",
    "olmo_hybrid": "linear_attn.o_proj`, `self_attn.o_proj",
    "deepseek_v4": "self_attn.o_b_proj",
    "ctrl": "multi_head_attention.dense",
    "mamba": "mixer.out_proj",
    "falcon_mamba": "mixer.out_proj",
    "mamba2": "mixer.out_proj",
}
MOST_KL = {"gptq": 0.15, "spqr": 0.15, "w8a8": 0.02}


def page_lines() -> list[str]:
    """The lines of the table in docs/architectures.md that follow from this test."""
    lines = []
    for kind in KINDS:
        cells = ["no" if (kind, method) in REFUSED else "yes" for method in METHODS]
        config = {"model_type": kind, **({"vision_config": {}} if kind in TEXT else {"vision_config": {"depth": 2}})}
        library = "no" if library_refusal(config) else "defined" if is_advisable(config) else "unknown"
        place = OUTPUT.get(kind, "self_attn.o_proj")
        lines.append(f"| `{kind}` | {' | '.join(cells)} | {library} | `{place}` |")
    return lines


def test_the_page_lists_what_is_tested() -> None:
    page = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in page if line.startswith("| `")] == page_lines()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("architectures")


@pytest.fixture(scope="module", params=KINDS)
def target(request: pytest.FixtureRequest, place: Path) -> Path:
    return make(request.param, place / request.param)


@pytest.fixture(scope="module")
def rows(place: Path) -> Path:
    return write_rows(place / "rows.jsonl")


def ids_of(rows: Path) -> list[list[int]]:
    return [json.loads(line)["input_ids"] for line in rows.read_text(encoding="utf-8").splitlines()]


def log_shares(folder: Path, rows: Path) -> Any:
    import torch

    backbone = Backbone(load_dense(folder, torch.float32, "cpu"))
    return torch.log_softmax(backbone.head.logits(backbone.states(ids_of(rows)[:4])).double(), -1)


def test_layer_by_layer_equals_the_whole_model(target: Path, rows: Path) -> None:
    import torch

    stack, batch = open_stack(target, False), ids_of(rows)[:4]
    inputs = capture(stack, [batch], "cpu", torch.float32, "cpu", lambda: None)
    found = inputs.hidden[0]
    for index in range(len(stack.layers)):
        out = stack.layer(index).float()(found, **inputs.of(0, index))
        found = inputs.hidden_after(0, index, out)
    whole, seen = load_dense(target, torch.float32, "cpu"), []
    find_stack(whole).layers[-1].register_forward_hook(lambda _module, _args, out: seen.append(out))
    with torch.no_grad():
        whole.get_decoder()(input_ids=torch.tensor(batch), use_cache=False)
    expected = hidden_of(seen[0])
    assert found.shape == expected.shape
    assert found.nbytes == states_bytes(stack, 4 * len(batch[0]), torch.float32)
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_the_check_before_the_run_accepts_it(target: Path) -> None:
    assert refusal_of_logits(empty_model(target, False)) == refusal_of_layers(target, False) == ""


def test_the_output_projection_of_the_attention_and_the_experts_are_measured(target: Path, rows: Path) -> None:
    import torch

    model, ids = load_dense(target, torch.float32, "cpu"), ids_of(rows)[:2]
    measured = measure(model, ids)
    modules = sorted({ref.module for ref in measured.places})
    assert "`, `".join(modules) == OUTPUT.get(target.name, "self_attn.o_proj")
    config = model.config.get_text_config()
    experts = [key for key in ("num_experts", "num_local_experts", "n_routed_experts") if getattr(config, key, 0)]
    each = getattr(config, "num_experts_per_tok", 0)
    assert bool(measured.experts) == bool(experts)
    assert all(counts.sum() == each * sum(map(len, ids)) for counts in measured.experts.values())
    if experts:
        inner = measure(model, ids, ("experts",)).places
        assert {ref.layer for ref in inner} == set(measured.experts) and len(inner) == 2 * len(measured.experts)


@pytest.mark.parametrize("method", METHODS)
def test_an_artefact_is_made_and_read_back_or_refused(target: Path, rows: Path, method: str) -> None:
    import torch

    out = target.parent / f"{target.name}-{method}"
    recipe = build_recipe({"method": method, **METHODS[method]}).identity()  # with today's defaults
    spec: dict[str, Any] = {
        "artefact": method,
        "model": str(target),
        "rows": str(rows),
        "out": str(out),
        "device": "cpu",
    }
    spec |= {"backend": "auto", "trust_remote_code": False, "recipe": recipe}
    messages: list[dict[str, Any]] = []
    refused = REFUSED.get((target.name, method))
    try:
        task.run(spec, lambda kind, **body: messages.append({"kind": kind, **body}), CancelToken())
    except FaqError as error:
        assert refused is not None and re.search(refused, str(error)), str(error)
        assert "\n" not in str(error) and not [one for one in messages if one["kind"] == "layer_started"]
        return
    assert refused is None
    with torch.no_grad():
        expected, found = log_shares(target, rows), log_shares(out, rows)
    kl = float((expected.exp() * (expected - found)).sum(-1).mean())
    assert 0 < kl < MOST_KL[method]
    _others_untouched(target, out, quantized=sum(one["kind"] == "module" for one in messages))
    streamed = StreamedBackbone(open_stream(out, torch.float32, "cpu", False))
    streamed.prepare(ids_of(rows)[:4])
    with torch.no_grad():
        by_layer = torch.log_softmax(streamed.head.logits(streamed.states(ids_of(rows)[:4])).double(), -1)
    assert torch.allclose(by_layer, found, atol=1e-3 if method != "w8a8" else 0.2)


def _others_untouched(target: Path, out: Path, quantized: int) -> None:
    """All tensors but the quantized modules are as in the target, byte for byte."""
    import torch
    from safetensors import safe_open

    def values(folder: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in {path for path, _, _ in tensors_of(folder).values()}:
            with safe_open(path, framework="pt") as reader:
                found |= {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
        return found

    before, after = values(target), values(out)
    changed = {name for name in before if name not in after or not torch.equal(before[name], after[name])}
    assert changed and len(changed) <= quantized
    assert not any(re.search("vision|visual|embed|norm|lm_head|weights_proj", name) for name in changed)
