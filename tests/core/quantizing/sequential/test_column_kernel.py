"""The Triton kernel, run by Triton's interpreter on the CPU, gives what the column walk in torch gives."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton on this machine")

CASES = [("gptq", 1, False), ("gptq", 2, True), ("spqr", 2, False), ("w8a8", 2, False)]  # method, batch, drift

# The interpreter must be chosen before Triton is imported, so this runs in a process of its own.
PROGRAM = """
import json
import sys
import traceback
from unittest import mock

import torch

from faq_tui.core.quantizing.methods.gptq import matrix as gptq
from faq_tui.core.quantizing.methods.spqr import matrix as spqr
from faq_tui.core.quantizing.methods.w8a8 import matrix as w8a8
from faq_tui.core.quantizing.sequential import column_kernel
from faq_tui.core.quantizing.sequential.hessian import Hessian, drifts, factorize, means, with_drift

COLUMNS = 160  # no multiple of a run


def results(method, weights, factor):
    if method == "gptq":
        made = gptq.quantize_stack(weights, factor, gptq.GridChoice(4, 32), lambda: None)
        return [part for one in made for part in (one.codes, one.scales, one.zeros, one.loss)]
    if method == "spqr":
        made = spqr.quantize_stack(weights, factor, spqr.Knobs(3, 32), lambda: None)
        assert all(one.outliers.any() for one in made)
        return [part for one in made for part in (one.codes, one.outliers, one.weight, one.loss)]
    made = w8a8.quantize_stack(weights, factor, lambda: None)
    return [part for one in made for part in (one.codes, one.scale, one.loss)]


def check(method, batch, drift):
    dice = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=dice)

    hessians = []
    for _ in range(batch):
        inputs = random(400, COLUMNS) @ random(COLUMNS, COLUMNS)
        hessians.append(Hessian(COLUMNS, "cpu", drift))
        hessians[-1].add(inputs, inputs + 0.1 * random(*inputs.shape))
    factor = factorize(means(hessians), 0.05, True, 32 if method == "gptq" else 0)
    if drift:
        factor = with_drift(factor, drifts(hessians), 0.5)
    weights = [random(batch, 40, COLUMNS), random(batch, 23, COLUMNS)]
    expected = results(method, weights, factor)
    whole = mock.Mock(wraps=column_kernel.quantize_run)
    with mock.patch.multiple(column_kernel, usable=lambda columns: True, quantize_run=whole):
        found = results(method, weights, factor)
    assert whole.called
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-6), (one - other).abs().max()


errors = []
for case in json.loads(sys.argv[1]):
    try:
        check(*case)
        errors.append("")
    except Exception:
        errors.append(traceback.format_exc())
print(json.dumps(errors))
"""


@pytest.fixture(scope="module")
def errors() -> dict[tuple[str, int, bool], str]:
    """The traceback of each case, or "". One process checks all cases, because its imports take seconds."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(CASES)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize(("method", "batch", "drift"), CASES)
def test_the_kernel_gives_what_torch_gives(
    errors: dict[tuple[str, int, bool], str], method: str, batch: int, drift: bool
) -> None:
    assert errors[method, batch, drift] == ""
