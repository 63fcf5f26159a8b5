"""Compare the output errors of RTN, GPTQ and SpQR for every matrix of the embedded model, with equal bits per code.

python benchmarks/layer_error.py [--bits 4] [--group 64] [--rows 16] [--tokens 256] [--layers N] [--out FILE]

The inputs x come from the unquantized model. The texts are English prose, which every Python installation contains.
The error is sum(|(W - Ŵ) x|²) / sum(|W x|²). The error is measured on rows that were not used for the Hessian. All
three methods use the same asymmetric min-max grid, so that they differ only in how they compensate rounding errors.
The values in the table are means over all layers.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import about, publish, table

from faq_tui.core.quantizing.methods.spqr.matrix import Knobs, quantize_matrix
from faq_tui.core.quantizing.methods.spqr.sidecar import count_bits
from faq_tui.core.quantizing.sequential.hessian import Hessian, factorize, identity_factor

DAMPS = {"SpQR": 0.01, "SpQR, damping 1.0": 1.0}


@dataclass(frozen=True)
class Figure:
    error: float
    bits: float


def prose(folder: Path, rows: int, tokens: int) -> list[list[int]]:
    from transformers import AutoTokenizer

    from faq_tui.core.evaluation.texts import pydoc_prose

    ids = AutoTokenizer.from_pretrained(folder)(pydoc_prose(), add_special_tokens=False, verbose=False)["input_ids"]
    return [ids[start : start + tokens] for start in range(0, rows * tokens, tokens)]


def hessians(model: Any, rows: Sequence[Sequence[int]], device: str = "cpu", at_once: int = 1) -> dict[str, Hessian]:
    """Maps the name of every Linear inside the layers to the Hessian of its inputs.

    The model is on `device`. It gets `at_once` rows at a time, which must have the same length.
    """
    import torch

    found: dict[str, Hessian] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and ".layers." in name:
            found[name] = Hessian(module.in_features, device)
            hooks.append(module.register_forward_pre_hook(lambda _m, args, name=name: found[name].add(args[0])))
    with torch.inference_mode():
        for start in range(0, len(rows), at_once):
            ids = torch.tensor(rows[start : start + at_once], device=device)
            model.model(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return found


def figures(weight: Any, fit: Hessian, test: Hessian, bits: int, group: int) -> dict[str, Figure]:
    """Maps the name of each method to its relative error."""
    metric = test.mean()
    whole = float(((weight @ metric) * weight).sum())

    def figure(knobs: Knobs, factor: Any, ordered: bool) -> Figure:
        made = quantize_matrix(weight, factor, knobs, lambda: None)
        off = weight - made.weight
        stored = count_bits(weight.shape[0], weight.shape[1], knobs, int(made.outliers.sum()), ordered)
        return Figure(float(((off @ metric) * off).sum()) / whole, stored.average)

    plain, spqr = Knobs(bits, group, math.inf, None), Knobs(bits, group)
    hessian = fit.mean()
    found = {
        "RTN": figure(plain, identity_factor(weight.shape[1], "cpu"), False),
        "GPTQ": figure(plain, factorize(hessian, 0.01, by_activation=False), False),
        "GPTQ, ordered": figure(plain, factorize(hessian, 0.01, by_activation=True), True),
    }
    for name, damp in DAMPS.items():
        found[name] = figure(spqr, factorize(hessian, damp, by_activation=True), True)
    return found


def main() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from faq_tui.core.embedded import ensure_model

    parser = argparse.ArgumentParser()
    for name, default in (("bits", 4), ("group", 64), ("rows", 16), ("tokens", 256), ("layers", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = ensure_model(print).folder
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = prose(folder, 2 * options.rows, options.tokens)
    fit, test = hessians(model, rows[: options.rows]), hessians(model, rows[options.rows :])
    by_module: dict[str, list[dict[str, Figure]]] = {}
    with torch.inference_mode():
        for name in fit:
            layer = int(name.split(".layers.")[1].split(".")[0])
            if not options.layers or layer < options.layers:
                weight = model.get_submodule(name).weight.data
                found = figures(weight, fit[name], test[name], options.bits, options.group)
                by_module.setdefault(name.split(".", 3)[3], []).append(found)
    methods = list(next(iter(by_module.values()))[0])
    everything = [one for found in by_module.values() for one in found]
    lines = [*by_module.items(), ("all", everything)]
    body = table(
        ["mean relative output error", *methods],
        [[module, *(f"{mean(found, m, 'error'):.2e}" for m in methods)] for module, found in lines]
        + [["bits a weight", *(f"{mean(everything, m, 'bits'):.3f}" for m in methods)]],
    )
    counts = []
    for name, damp in DAMPS.items():
        better = sum(one["RTN"].error > one["GPTQ"].error > one[name].error for one in everything)
        counts.append(f"with damping {damp:g} on {better}")
    note = f"RTN > GPTQ > SpQR {' and '.join(counts)} of {len(everything)} matrices"
    note += f"; W{options.bits}, groups of {options.group}; {max(map(len, by_module.values()))} layers."
    publish("Layer output error", about("torch", "transformers"), f"{body}\n\n{note}", options.out)
    for name in DAMPS:
        assert mean(everything, "RTN", "error") > mean(everything, "GPTQ", "error") > mean(everything, name, "error")


def mean(found: list[dict[str, Figure]], method: str, what: str) -> float:
    return sum(float(getattr(one[method], what)) for one in found) / len(found)


if __name__ == "__main__":
    main()
