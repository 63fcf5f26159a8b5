"""What a quantization on CUDA costs, as sums of terms: their factors were fitted to benchmarks/cuda_scale.py's rows.

The fit is by least squares of relative errors with no factor below zero; GPTAQ's for `hessian` is two float32
products at 50 TFLOP/s, since its rows alone do not tell. On the rows that it was made from, the sums alone are within
a quarter; estimate.py sets their level by the nearest of these rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from faq_tui.core.quantizing.profile import Profile

# The methods of our own walk: what shares a Hessian, or is an expert of one shape, is solved together.
WALKED = frozenset({"spqr", "w8a8"})
WORK = 9_400_000_000  # bytes that a portion of rows may take on the GPU that was measured: a sixteenth of it

# Seconds a layer, for each unit of `layer_terms`.
SECONDS: dict[str, dict[str, float]] = {
    "gptq": {"module": 0.09047, "column": 4.149e-5, "hessian": 3.058e-14, "weight": 1.78e-8},
    "gptaq": {"column": 5.83e-4, "hessian": 8e-14, "weight": 3.54e-9},
    "awq": {"module": 0.08641, "input": 4.438e-9},
    "spqr": {"module": 0.002126, "column": 2.097e-4, "forward": 3.671e-14, "weight": 2.085e-9},
    "w8a8": {"module": 0.00253, "column": 1.315e-4, "forward": 3.96e-14, "weight": 3.577e-10},
}
# Bytes, for each unit of `memory_terms`.
GPU: dict[str, dict[str, float]] = {
    "gptq": {"context": 1.7e9, "states": 2.08, "layer": 1.72, "expert_squares": 0.61},
    "gptaq": {"context": 1.69e9, "inputs": 1.08, "weight": 17.75},
    "awq": {"context": 1.64e9, "inputs": 1.93},
    "spqr": {"context": 0.77e9, "square": 9.93, "layer": 8.14, "work": 0.49},
    "w8a8": {"context": 0.77e9, "square": 9.39, "layer": 6.03, "work": 0.58},
}
HOST: dict[str, dict[str, float]] = {
    "gptq": {"context": 2.3e9, "states": 0.99, "resident": 1.98, "expert_squares": 0.67},
    "gptaq": {"context": 2.28e9, "states": 1.96, "resident": 2.4},
    "awq": {"context": 2.44e9, "inputs": 1.67},
    "spqr": {"context": 2.1e9, "total": 1.0, "layer": 1.2},
    "w8a8": {"context": 2.0e9, "total": 1.0, "layer": 0.5},
}


def layer_terms(method: str, profile: Profile) -> dict[str, float]:
    """`forward` and `hessian`: multiply-adds of one pass of all tokens, and of their second moments.

    `input`: values that all tokens put into all modules.
    """
    return {
        "layer": 1.0,
        "module": sum(count for *_, count in profile.shapes),
        "column": profile.columns_together if method in WALKED else profile.columns,
        "weight": profile.weights,
        "input": profile.tokens * sum(columns * met for _, columns, met in _met(profile)),
        "forward": profile.tokens * sum(out * columns * met for out, columns, met in _met(profile)),
        "hessian": profile.tokens * sum(columns**2 * met for _, columns, met in _met(profile)),
    }


def _met(profile: Profile) -> list[tuple[int, int, float]]:
    """Shapes, and how many matrices of each a token meets: experts count by how many are chosen."""
    share = profile.chosen / profile.experts if profile.experts else 1.0
    return [(o, i, n * share if 0 < profile.experts <= n else n) for o, i, n in profile.shapes]


def memory_terms(profile: Profile, work: float = WORK) -> dict[str, float]:
    """`states`: of all tokens between two layers; `inputs`: of all tokens into every module of a layer.

    `work`: bytes that a portion of rows may take.
    """
    widest = max((max(out, columns) for out, columns, _ in profile.shapes), default=0)
    experts = [(columns, count) for _, columns, count in profile.shapes if 0 < profile.experts <= count]
    inputs = sum(columns * met for _, columns, met in _met(profile))
    return {
        "context": 1.0,
        "states": 2.0 * profile.tokens * profile.hidden,
        "inputs": 2.0 * profile.tokens * inputs,
        "square": 4.0 * max((columns for _, columns, _ in profile.shapes), default=0) ** 2,
        "expert_squares": 2.0 * sum(columns**2 * count for columns, count in experts),
        "weight": 4.0 * max((out * columns for out, columns, _ in profile.shapes), default=0),
        "layer": profile.layer_bytes,
        "resident": float(profile.resident_bytes),
        "total": float(profile.total_bytes),
        "work": min(work, 24.0 * profile.tokens * widest),
    }


def summed(factors: Mapping[str, float], terms: Mapping[str, float]) -> float:
    return sum(factor * terms[name] for name, factor in factors.items())
