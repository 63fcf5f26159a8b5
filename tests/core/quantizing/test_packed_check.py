"""Modules that a library left out are found; its table of architectures is read without importing it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.quantizing.library_definitions import is_advisable, known_types
from faq_tui.core.quantizing.packed_check import check_packed, layer_matrices
from tests.support.architectures import make

pytestmark = pytest.mark.slow

TABLE = """
import json
from faq_tui.core.models.gptqmodel_environment import import_gptqmodel
import_gptqmodel()
from gptqmodel.models.auto import MODEL_MAP
print(json.dumps(sorted(MODEL_MAP)))
"""


def test_experts_that_were_left_out_are_named(tmp_path: Path) -> None:
    target = make("mixtral", tmp_path / "target")
    shapes = layer_matrices(target, False)
    name = "model.layers.0.block_sparse_moe.experts.0.w1"
    assert len(shapes) == 2 * (4 + 3 * 8) and shapes[name] == (128, 64)
    check_packed(target, False, shapes)
    with pytest.raises(FaqError, match=rf"quantized only 6% of the weights .* left out {name}: use another method"):
        check_packed(target, False, {one: shape for one, shape in shapes.items() if "experts" not in one})


def test_experts_in_an_unknown_form_count_as_left_out(tmp_path: Path) -> None:
    target = make("jetmoe", tmp_path / "target")
    with pytest.raises(FaqError, match=r"quantized only 2% of the weights .* left out \S+mlp\.input_linear"):
        check_packed(target, False, layer_matrices(target, False))


def test_the_librarys_table_is_read_without_importing_it(tmp_path: Path) -> None:
    environment = {**os.environ, "GPTQMODEL_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TABLE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert known_types() == set(json.loads(done.stdout.splitlines()[-1]))
    assert is_advisable({"model_type": "llama"}) and not is_advisable({"model_type": "mamba2"})
