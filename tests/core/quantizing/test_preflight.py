"""What the quantize worker refuses beforehand, and its small parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing import preflight, task
from faq_tui.core.quantizing.cost_model import LIBRARIES_AT_LEAST, MethodCost, min_host_memory, min_memory
from tests.support.quantize_bench import WALK, Artefact, Bench

pytest_plugins = ["tests.support.quantize_bench"]


# --- what it refuses beforehand ---


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"group_size": 256},
            r"group_size 256 does not divide the 128 input features of model\.layers\.0\.mlp\.gate_proj",
        ),
        ({"group_size": 48}, "recipe group_size: gptq supports -1, 16, 32"),
        ({"bits": 5}, "recipe bits: gptq supports 4, 8"),
        ({"method": "magic"}, "no quantization method 'magic'"),
        ({"rows": "/nonexistent/rows.jsonl"}, "assemble the calibration set first"),
        ({"model": "/nonexistent/model"}, "neither a folder nor a hub id"),
    ],
)
def test_bad_orders_are_refused(bench: Bench, changes: dict[str, Any], sentence: str) -> None:
    spec = bench.spec("refused", **changes)
    with pytest.raises(UsageError, match=sentence):
        bench.here(spec)
    assert not Path(spec["out"]).exists()


@pytest.mark.parametrize("method", ["gptq", "gptaq", "awq", "spqr"])
def test_no_method_takes_a_group_size_that_does_not_divide(bench: Bench, method: str) -> None:
    """W8A8 has no groups. The rest would run somewhere else only, or end the process."""
    spec = bench.spec(f"refused-{method}", method=method, group_size=256)
    row = "" if method == "awq" else "-1, "  # AWQ has no single group a row
    sentence = rf"group_size 256 does not divide the 128 input features of .*: choose one of {row}16, 32, 64, 128$"
    with pytest.raises(UsageError, match=sentence):
        bench.here(spec)
    assert not Path(spec["out"]).exists()


def test_the_group_sizes_that_fit_are_named() -> None:
    shapes = {"a.q_proj": (64, 576), "a.down_proj": (576, 1536)}
    preflight.check_group_size(shapes, 64)
    preflight.check_group_size(shapes, -1)
    with pytest.raises(UsageError, match=r"576 input features of a\.q_proj: choose one of -1, 16, 32, 64$"):
        preflight.check_group_size(shapes, 128)
    with pytest.raises(
        UsageError, match="100 input features of odd: no group size fits this model: choose another method"
    ):
        preflight.check_group_size({"odd": (64, 100)}, 128, (16, 32, 64))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "the calibration set is empty"),
        ([[1] * 11, [1] * 10], "calibration row 2 has only 10 tokens"),
        ([[1] * 20 + [512]], "calibration row 1 has token id 512, but the target's largest id is 511"),
        ([[1] * 20 + [-1]], "token id -1"),
    ],
)
def test_rows_that_gptqmodel_would_take_amiss(rows: list[list[int]], sentence: str) -> None:
    preflight.check_rows([[0] * 11, [511] * 11], 512)
    with pytest.raises(UsageError, match=sentence):
        preflight.check_rows(rows, 512)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"text": "x"}', "line 2 has no input_ids"),
        ("{", "line 2 has no input_ids"),
        ('{"input_ids": ["a"]}', "line 2: input_ids is not a list of integers"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"input_ids": [1, 2]}}\n{line}\n')
    with pytest.raises(UsageError, match=sentence):
        preflight.read_rows(path)


def test_targets_that_are_none(bench: Bench, artefacts: dict[tuple[str, int], Artefact], tmp_path: Path) -> None:
    assert preflight.check_target(bench.model)["model_type"] == "llama"
    preflight.check_chat_template(bench.model)
    with pytest.raises(UsageError, match="quantized already"):
        preflight.check_target(artefacts[WALK, 4].folder)
    with pytest.raises(UsageError, match="cannot be read"):
        preflight.check_target(tmp_path)
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"], "model_type": "bert"}')
    with pytest.raises(UsageError, match=r"is not a causal language model .architecture BertModel."):
        preflight.check_target(tmp_path)
    with pytest.raises(UsageError, match="no chat template"):
        preflight.check_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    preflight.check_chat_template(tmp_path)
    with pytest.raises(UsageError, match=r"no \*\.safetensors files"):
        linear_shapes(tmp_path)


@pytest.mark.parametrize("settings", [{}, {"is_decoder": False}, {"is_decoder": True}])
def test_a_model_that_predicts_masked_words_is_refused(settings: dict[str, bool], tmp_path: Path) -> None:
    config = {"model_type": "bert", "architectures": ["BertLMHeadModel"], **settings}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if settings.get("is_decoder"):
        assert preflight.check_target(tmp_path)["model_type"] == "bert"
        return
    with pytest.raises(UsageError, match=r"predicts masked words, because is_decoder is not true"):
        preflight.check_target(tmp_path)


def test_memory(bench: Bench) -> None:
    preflight.check_memory(1)
    sentence = r"does not fit in memory: it needs about 1048576\.0 GiB, but \d+\.\d GiB are free"
    with pytest.raises(FaqError, match=sentence):
        preflight.check_memory(1 << 50)
    need = min_memory(bench.model, "gptq", 50, 400)
    assert min_memory(bench.model, "gptq", 50, 400_000) > need + 2 * 2 * 128 * 390_000


def test_what_can_move_to_the_host_is_not_asked_of_a_gpu(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("gptq@walk", "gptaq@walk", "spqr", "w8a8"):
        few, many = (min_memory(bench.model, method, 50, tokens, "cuda") for tokens in (400, 400_000))
        assert few == many < 2_000_000
    assert min_memory(bench.model, "gptq", 50, 400_000, "cuda") > 2 * 2 * 128 * 390_000
    # No engine needs the whole model in host memory: all read layer by layer, or map the files.
    least = {min_host_memory(bench.model, key) for key in (*METHODS.builtin, "gptq@walk", "gptaq@walk")}
    assert least == {LIBRARIES_AT_LEAST}
    whole = sum(size for _, _, size in tensors_of(bench.model).values())
    monkeypatch.setattr(METHODS.get("spqr"), "cost", MethodCost(whole_model=True))
    assert min_host_memory(bench.model, "spqr") == LIBRARIES_AT_LEAST + whole


def test_the_walk_reads_embeddings_as_mapped_files(bench: Bench) -> None:
    """So a CPU with less memory than the embeddings take is not refused."""
    shapes = linear_shapes(bench.model)
    rest = {name: size for name, (_, _, size) in tensors_of(bench.model).items()}
    resident = sum(size for name, size in rest.items() if name.removesuffix(".weight") not in shapes)
    bounds = [min_memory(bench.model, key, 50, 400) for key in ("gptq", "gptq@walk")]
    assert bounds[0] - bounds[1] == resident > 0


def test_a_job_is_checked_by_the_bound_of_its_engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def bound(_target: Path, key: str, *_rest: object) -> int:
        asked.append(key)
        return 0 if len(asked) == 1 else 1 << 60

    monkeypatch.setattr(task, "min_memory", bound)
    monkeypatch.setattr(task, "min_host_memory", bound)
    for engine, key in (("auto", "gptq@walk"), ("gptqmodel", "gptq")):
        with pytest.raises(FaqError, match="does not fit in memory"):
            bench.here(bench.spec(f"bound-{engine}", engine=engine))
        assert asked == [key, key]
        asked.clear()
