"""The Triton kernel, run by Triton's interpreter on the CPU, finds as good a scale as the search in torch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton on this machine")

# The interpreter must be chosen before Triton is imported, so this runs in a process of its own.
PROGRAM = """
import json
from unittest import mock

import torch

from faq_tui.core.quantizing.methods.gptq import matrix
from faq_tui.core.quantizing.sequential import column_kernel

dice = torch.Generator().manual_seed(0)
found = []
cases = (4, True, (64, 40)), (4, False, (2, 32, 33)), (3, True, (2, 150, 40)), (8, False, (16, 5))
for bits, symmetric, shape in cases:
    grid = matrix.GridChoice(bits, shape[-2], symmetric, search=True)
    weights = torch.randn(*shape, generator=dice) * torch.rand(shape[-1], generator=dice)
    weights[..., 0] = 0.0  # a group without any weight
    weights[..., 3, 1] *= 30.0  # a group with an outlier
    expected = matrix.fit(weights, grid)
    with mock.patch.object(column_kernel, "usable", lambda columns: True):
        given = matrix.fit(weights, grid)
    whole = matrix.fit(weights, matrix.GridChoice(bits, shape[-2], symmetric))
    errors = [matrix._rounding_error(weights, *one, grid.most) for one in (given, expected, whole)]
    found.append(
        {
            "worst": float((errors[0] / errors[1].clamp(min=1e-12)).max()),
            "finite": bool(torch.isfinite(given[0]).all() and torch.isfinite(given[1]).all()),
            "same": float((given[0] == expected[0]).float().mean()),
            "gain": float(errors[2].sum() / errors[0].sum()),
            "bits": bits,
        }
    )
print(json.dumps(found))
"""


def test_the_kernel_finds_as_good_a_scale_as_torch() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for one in json.loads(done.stdout.splitlines()[-1]):
        assert one["finite"] and one["worst"] <= 1 + 1e-4 and one["same"] > 0.95, one
        assert one["gain"] > 1.02 or one["bits"] == 8, one
