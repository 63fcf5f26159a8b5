"""Check the Hessians of 16-bit inputs on a GPU against float64, and compare their time with TF32 products.

python tests/gpu/hessian_products.py [--tokens 65536]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from faq_tui.core.quantizing.sequential.hessian import Hessian

MOST_ERROR = 1e-3  # of the largest value of the Hessian; the damping of 0.01 adds ten times as much to its diagonal


def seconds(compute: Any, times: int = 10) -> float:
    compute()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        compute()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=65_536)
    tokens = parser.parse_args().tokens
    for width in (576, 4096, 12_288):
        for dtype in (torch.bfloat16, torch.float16):
            torch.manual_seed(0)
            inputs = torch.randn(tokens, width, device="cuda", dtype=dtype)
            hessian = Hessian(width, "cuda")
            hessian.add(inputs[: tokens // 2])
            hessian.add(inputs[tokens // 2 :])
            some = inputs[:, :256].double()
            exact = 2 * (some.t() @ some) / tokens
            error = float((hessian.mean()[:256, :256].double() - exact).abs().max() / exact.abs().max())
            torch.backends.cuda.matmul.allow_tf32 = True
            total = torch.zeros(width, width, device="cuda")
            before = seconds(lambda i=inputs, t=total: t.addmm_(i.float().t(), i.float()))
            torch.backends.cuda.matmul.allow_tf32 = False
            now = seconds(lambda h=hessian, i=inputs: h.add(i))
            times = f"{1000 * now:.2f} ms, {1000 * before:.2f} ms in TF32"
            print(f"{width} columns, {dtype}: largest error {error:.1e}; {times}", flush=True)
            assert error < MOST_ERROR, (width, dtype, error)


if __name__ == "__main__":
    main()
