"""A published folder looks like the same model with dense weights, and other quantized folders are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.dense import FolderTensors, load_dense
from faq_tui.core.models.folder_check import check_folder
from faq_tui.core.models.headers import linear_shapes, tensors_of, view_of
from faq_tui.core.models.published.view import dtype_of, format_named, quantization_in
from faq_tui.core.quantizing.preflight import check_target, not_finite
from tests.support.published import FP8, MTP, make_tiny_deepseek, make_tiny_gpt_oss
from tests.support.tiny import make_tiny_model

Pair = tuple[Path, Path]  # a published folder, and the same model with dense weights


@pytest.fixture(scope="module", params=[make_tiny_deepseek, make_tiny_gpt_oss])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp("published")
    make: Callable[[Path, Path], Path] = request.param
    return make(root / "published", root / "plain"), root / "plain"


@pytest.fixture(scope="module")
def deepseek(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deepseek")
    return make_tiny_deepseek(root / "published", root / "plain")


def test_it_has_the_tensors_and_sizes_of_the_dense_model(pair: Pair) -> None:
    import torch

    published, plain = pair
    found, expected = tensors_of(published), tensors_of(plain)
    assert {name: one[1:] for name, one in found.items()} == {name: one[1:] for name, one in expected.items()}
    assert linear_shapes(published) == linear_shapes(plain)
    assert view_of(plain) is None and view_of(published) is not None
    read, dense = FolderTensors(published), FolderTensors(plain)
    assert set(read.files) == set(dense.files)
    assert all(torch.equal(read.read(name), dense.read(name)) for name in dense.files)
    assert not_finite(published, read.files) is None


@pytest.mark.slow
def test_it_computes_what_the_dense_model_computes(pair: Pair) -> None:
    import torch

    ids = torch.arange(40)[None]
    for dtype in (torch.float32, torch.bfloat16):
        with torch.inference_mode():
            ours, theirs = (load_dense(folder, dtype, "cpu")(ids).logits for folder in pair)
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_its_activations_are_those_of_the_dense_model(pair: Pair) -> None:
    import numpy as np
    import torch

    from faq_tui.core.activations.capture import measure
    from faq_tui.core.activations.task import tensors_of as arrays_of

    rows = [list(range(start, start + 30)) for start in range(0, 400, 100)]
    ours, theirs = (arrays_of(measure(load_dense(one, torch.float32, "cpu"), rows, ["o_proj"])) for one in pair)
    assert len(ours) > 2 and ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)


def test_published_forms_are_accepted_and_others_are_not(pair: Pair, tmp_path: Path) -> None:
    published, plain = pair
    check_target(published)
    check_folder("target.model", published)
    config = json.loads((plain / "config.json").read_text())
    for name in ("gptq", "awq", "compressed-tensors", "bitsandbytes", "fbgemm_fp8", None, "../x\n[red]"):
        for key in ("quantization_config", "compression_config"):
            (tmp_path / "config.json").write_text(json.dumps({**config, key: {"quant_method": name}}))
            with pytest.raises(UsageError, match=r"is quantized already \(") as refused:
                check_target(tmp_path)
            assert str(refused.value).endswith(
                "FP8 with block scales (quant_method fp8) or MXFP4 (quant_method mxfp4)"
            )
            assert "\n" not in str(refused.value)


def test_codes_are_never_read_as_weights(deepseek: Path, tmp_path: Path) -> None:
    """A folder with FP8 codes whose config.json does not say so."""
    import torch

    folder = copied(deepseek, tmp_path / "bare", {"quantization_config": None})
    sentence = r"has quantized weights \(.*\), but config\.json has no quantization_config"
    uses: tuple[Callable[[], Any], ...] = (
        lambda: check_folder("target.model", folder),
        lambda: tensors_of(folder),
        lambda: FolderTensors(folder),
        lambda: load_dense(folder, torch.float32, "cpu"),
    )
    for use in uses:
        with pytest.raises(UsageError, match=sentence):
            use()
    only_scales = make_tiny_model(tmp_path / "scales", layers=1)
    stray(only_scales, "model.layers.0.self_attn.q_proj.weight_scale_inv", torch.ones(1, 1))
    with pytest.raises(UsageError, match=sentence):
        check_folder("target.model", only_scales)


def test_integer_codes_are_never_read_as_weights(tmp_path: Path) -> None:
    """A folder with codes of bitsandbytes whose config.json does not say so."""
    import torch

    folder = make_tiny_model(tmp_path, layers=1)
    stray(folder, "model.layers.0.self_attn.q_proj.weight", torch.zeros(8, 1, dtype=torch.uint8))
    with pytest.raises(UsageError, match=r"has quantized weights \(model\.layers\.0\.self_attn\.q_proj\.weight\)"):
        check_target(folder)


def test_masks_of_attention_in_eight_bits_are_no_codes(tmp_path: Path) -> None:
    """The files of GPT-NeoX have such masks."""
    import torch

    folder = make_tiny_model(tmp_path, layers=1)
    stray(folder, "model.layers.0.attention.bias", torch.ones(1, 1, 4, 4, dtype=torch.uint8))
    check_target(folder)


def test_codes_of_another_published_format_are_refused(pair: Pair, tmp_path: Path) -> None:
    published = pair[0]
    own = json.loads((published / "config.json").read_text())["quantization_config"]["quant_method"]
    other = {"fp8": "mxfp4", "mxfp4": "fp8"}[own]
    folder = copied(published, tmp_path / "other", {"quantization_config": {"quant_method": other}})
    with pytest.raises(UsageError, match=r"cannot be read as (MXFP4|FP8 .*): \S+ has the type \S+, which is another"):
        check_target(folder)


def test_parts_that_do_not_fit_are_one_sentence(deepseek: Path, tmp_path: Path) -> None:
    folder = copied(deepseek, tmp_path / "odd", {"quantization_config": {**FP8, "weight_block_size": [64, 64]}})
    with pytest.raises(
        UsageError, match=r"cannot be read as FP8 with block scales: .* does not fit blocks of 64 x 64"
    ):
        check_folder("target.model", folder)


def test_a_code_that_is_nan_is_found(deepseek: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = copied(deepseek, tmp_path / "nan", {})
    path = folder / "model-00001-of-00002.safetensors"
    tensors, name = load_file(path), f"{MTP}mlp.experts.0.up_proj.weight"
    path.unlink()
    tensors[name].view(torch.uint8)[0, 0] = 0x7F  # the code of NaN in E4M3
    save_file(tensors, path, {"format": "pt"})
    assert not_finite(folder, FolderTensors(folder).files) == name


def test_the_dtype_is_that_of_the_config() -> None:
    assert dtype_of({"torch_dtype": "bfloat16"}) == dtype_of({"dtype": "float8_e4m3fn"}) == dtype_of({}) == "bfloat16"
    assert dtype_of({"text_config": {"dtype": "float16"}}) == "float16"
    assert quantization_in({"quantization_config": {}}) is None
    assert quantization_in({"text_config": {"quantization_config": {"quant_method": "fp8"}}}) == {
        "quant_method": "fp8"
    }
    assert quantization_in({"quantization_config": "gptq"}) == {"quant_method": "gptq"}
    assert format_named(None) is None and format_named({"quant_method": ["fp8"]}) is None


def copied(folder: Path, copy: Path, config: dict[str, Any]) -> Path:
    """A copy of `folder`, with links to the weights. The keys of `config` replace those of config.json."""
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).symlink_to(path)
    body = {**json.loads((folder / "config.json").read_text()), **config}
    (copy / "config.json").unlink()
    (copy / "config.json").write_text(json.dumps({key: value for key, value in body.items() if value is not None}))
    return copy


def stray(folder: Path, name: str, tensor: Any) -> None:
    """Add a tensor to the weights of `folder`."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file({**load_file(path), name: tensor}, path, {"format": "pt"})
