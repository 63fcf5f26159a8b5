"""Quantizing with weighted tokens, by every method that can, on a tiny random Llama."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.chat.token_kinds import KINDS, write_kinds
from faq_tui.core.quantizing import task
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.output import read_manifest
from faq_tui.core.quantizing.sequential import engine
from faq_tui.core.quantizing.sequential.row_weights import weights_of
from faq_tui.core.run.run import open_run
from faq_tui.core.settings.recipe import build_recipe
from faq_tui.core.stages.quantize import artefact_signature, signature
from faq_tui.core.store.sets import SetRow
from tests.support.architectures import make
from tests.support.quantize_bench import GROUP, Bench, tensors
from tests.support.shell import make_run
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.support.quantize_bench"]
METHODS: dict[str, dict[str, Any]] = {
    "gptq": {"group_size": GROUP},
    "gptaq": {"group_size": GROUP},
    "spqr": {"group_size": GROUP},
    "w8a8": {"bits": 8, "group_size": -1},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_walk_weights_the_first_tokens(bench: Bench, method: str) -> None:
    made, manifests = {}, {}
    for share in (None, "off", 0.3):
        name = f"{method}-{share}"
        keys = {} if share is None else {"sink_share": share}
        bench.here(bench.spec(name, method=method, **METHODS[method], **keys))
        made[share], manifests[share] = tensors(bench.root / name), read_manifest(bench.root / name)
    assert all(torch.equal(tensor, made["off"][name]) for name, tensor in made[None].items())
    assert not all(torch.equal(tensor, made[0.3][name]) for name, tensor in made[None].items())
    plain, weighted = manifests["off"], manifests[0.3]
    assert plain is not None and weighted is not None and "weights" not in plain
    rows, tokens = len(bench.ids), sum(map(len, bench.ids))
    assert weighted["weights"]["first_token"] == pytest.approx(0.3 / 0.7 * (tokens - rows) / rows)
    assert weighted["weights"]["sink_share"] == pytest.approx(0.3)
    assert weighted["recipe"]["sink_share"] == 0.3 and plain["recipe"]["sink_share"] == "off"
    assert {entry["samples"] for entry in weighted["losses"]} == {tokens}
    losses = [[entry["loss"] for entry in manifest["losses"]] for manifest in (plain, weighted)]
    assert losses[0] != losses[1], "the losses have the same weights"


def job_of(bench: Bench, **changes: Any) -> QuantizationJob:
    return QuantizationJob.from_spec(bench.spec("kinds", **changes))


def test_kinds_are_read_where_they_were_recorded(bench: Bench, tmp_path: Path) -> None:
    kinds = [bytes([0, 1, 2, 2, 3]) + bytes([4]) * (len(row) - 5) for row in bench.ids]
    write_kinds(tmp_path / "kinds.jsonl", kinds, "hash")
    keys = {
        "kinds": str(tmp_path / "kinds.jsonl"),
        "ids_hash": "hash",
        "token_weights": {"question": 0.5, "answer": 2},
    }
    weights = weights_of(job_of(bench, **keys), bench.model, bench.ids)
    assert weights is not None and list(weights.classes) == kinds and weights.values == (1, 1, 0.5, 1, 2)
    shared = weights_of(job_of(bench, **keys, sink_share=0.2), bench.model, bench.ids)
    assert shared is not None and shared.sink_share == pytest.approx(0.2) and shared.values[1:] == weights.values[1:]
    assert weights_of(job_of(bench), bench.model, bench.ids) is None


def test_kinds_of_an_older_set_are_found_in_its_texts(bench: Bench, tmp_path: Path) -> None:
    from faq_tui.core.models.tokenizer import tokenizer_of

    tokenizer = tokenizer_of(bench.model, False)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "It is four."}],
        tokenize=False,
    )
    row = tokenizer(text, add_special_tokens=False)["input_ids"]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"input_ids": row, "text": text}) + "\n", encoding="utf-8")
    keys = {"rows": str(path), "token_weights": {"answer": 3}}
    weights = weights_of(job_of(bench, **keys), bench.model, [row])
    assert weights is not None
    kinds = {KINDS[kind] for kind in weights.classes[0]}
    assert {"sink", "template", "question", "answer"} == kinds and weights.values[KINDS.index("answer")] == 3
    path.write_text(json.dumps({"input_ids": row}) + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no texts, so token_weights cannot find the kinds"):
        weights_of(job_of(bench, **keys), bench.model, [row])


def test_a_target_that_only_gptqmodel_can_quantize_is_refused_before_the_work(bench: Bench, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "odd", layers=1, intermediate=132)
    spec = bench.spec("odd", model=str(model), group_size=-1, sink_share=0.03)
    why = r"need the engine walk, but 128 x 132 weights of .* do not fill whole words of 32 bits: remove both keys"
    with pytest.raises(UsageError, match=why):
        bench.worker(spec, lambda _message: None, CancelToken())
    from faq_tui.core.quantizing.methods.gptq.walked import engines_refusal, uses_walk

    job = QuantizationJob.from_spec(spec)
    with pytest.raises(FaqError, match=why):
        uses_walk(job, model)
    assert "need the engine walk" in engines_refusal(job.recipe, model, False, "")
    by_default = QuantizationJob.from_spec(
        bench.spec("odd", model=str(model), group_size=-1, scale_search=True, sink_share="auto")
    )
    assert not uses_walk(by_default, model), "GPTQModel quantizes this target without weights"
    assert engines_refusal(by_default.recipe, model, False, "") == ""


@pytest.mark.parametrize("found", [True, False])
def test_the_share_of_auto_is_left_out_where_tokens_cannot_be_weighted(
    found: bool, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the trial call does not find the module, the walk begins again without weights."""
    model = make("deepseek_v4", tmp_path / "target")
    if not found:
        monkeypatch.setattr(engine, "refusal_of_weights", lambda _stack: "")
    rows = tmp_path / "rows.jsonl"
    ids = [[id % 128 for id in row[:40]] for row in bench.ids[:4]]
    rows.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in ids), encoding="utf-8")
    for share in ("auto", "off"):
        keys = {"engine": "walk", "scale_search": True, "sink_share": share}
        bench.here(bench.spec(share, model=str(model), rows=str(rows), out=str(tmp_path / share), **keys))
    made = [tensors(tmp_path / share) for share in ("auto", "off")]
    assert all(torch.equal(tensor, made[1][name]) for name, tensor in made[0].items())
    manifest = read_manifest(tmp_path / "auto")
    assert manifest is not None and set(manifest["weights"]) == {"not_used"}
    assert manifest["weights"]["not_used"].endswith("so the tokens cannot be weighted")


def test_the_signature_holds_the_kinds_only_if_they_have_weights(tmp_path: Path) -> None:
    row = SetRow("baseline", "hash", 3, 120, 120, 0, {})
    weighted = 'method = "gptq"\ntoken_weights = { answer = 2.0 }\n'
    found: dict[str, list[str]] = {}
    for name, keys in (("plain", 'method = "gptq"\n'), ("weighted", weighted)):
        with open_run(make_run(tmp_path / name, target="org/model", rest=f"[[recipes]]\n{keys}")) as run:
            path = run.token_kinds / "baseline.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            (recipe,) = run.settings.recipes
            assert recipe == build_recipe(recipe.identity())
            for kind in (None, 3, 4):
                if kind is not None:
                    write_kinds(path, [bytes([0, kind])], "hash")
                found.setdefault(name, []).append(artefact_signature(run, recipe, row) + signature(run))
    assert len(set(found["plain"])) == 1 and len(set(found["weighted"])) == 3


@pytest.mark.parametrize("kill_at", ["layer_done", "saving"])
def test_an_attempt_without_weights_is_resumed_without_weights(
    kill_at: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layers that the attempt left behind are not weighted, so the manifest must not say that they are."""
    model = make("deepseek_v4", tmp_path / "target")
    monkeypatch.setattr(engine, "refusal_of_weights", lambda _stack: "")
    rows = tmp_path / "rows.jsonl"
    ids = [[id % 128 for id in row[:40]] for row in bench.ids[:4]]
    rows.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in ids), encoding="utf-8")

    def spec(name: str, share: str) -> dict[str, Any]:
        keys = {"engine": "walk", "scale_search": True, "sink_share": share, "checkpoints": str(tmp_path / "kept")}
        return bench.spec(name, model=str(model), rows=str(rows), out=str(tmp_path / name), **keys)

    def send(kind: str, **_body: Any) -> None:
        if kind == kill_at:
            raise KeyboardInterrupt  # as if the process ended here

    with pytest.raises(KeyboardInterrupt):
        task.run(spec("auto", "auto"), send, CancelToken())
    bench.here(spec("auto", "auto"))
    bench.here(spec("off", "off"))
    made = [tensors(tmp_path / share) for share in ("auto", "off")]
    assert all(torch.equal(tensor, made[1][name]) for name, tensor in made[0].items())
    manifest = read_manifest(tmp_path / "auto")
    assert manifest is not None and set(manifest["weights"]) == {"not_used"}
