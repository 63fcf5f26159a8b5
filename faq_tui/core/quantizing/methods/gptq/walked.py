"""Run GPTQ and GPTAQ on faq-tui's own engine, the walk through the layers, and write the packed folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.headers import packed_shapes, quantized_shapes, view_of
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.quantizing.layer_profile import LayerProfile
from faq_tui.core.quantizing.library_definitions import library_refusal
from faq_tui.core.quantizing.methods.gptq.format import WORD, dense_of, packed_tensors, quantization_config
from faq_tui.core.quantizing.output import EngineResult, average_bits
from faq_tui.core.quantizing.preflight import expert_count
from faq_tui.core.quantizing.progress import QuantizationProgress
from faq_tui.core.settings.weights import requires_weights

if TYPE_CHECKING:
    from faq_tui.core.quantizing.sequential.batching import SolvedMatrix
    from faq_tui.core.quantizing.sequential.hessian import Factor

WALK, GPTQMODEL = "walk", "gptqmodel"
ADVICE = 'set engine = "auto", which uses the library GPTQModel for this target'


def uses_walk(job: QuantizationJob, target: Path) -> bool:
    """True if the job runs on faq-tui's own engine (walk), and False if it runs on GPTQModel.

    Raises FaqError if the recipe requires the walk, but the walk does not support the target.
    """
    recipe: Any = job.recipe
    if recipe.engine == GPTQMODEL:
        return False
    why = refusal(recipe, target, job.trust_remote_code)
    if why and (sentence := _refusal_of_required_walk(recipe, why)):
        raise FaqError(sentence)
    return not why


def _refusal_of_required_walk(recipe: Any, why: str) -> str:
    """The error sentence for a recipe that only the walk can run; "" if GPTQModel can run the recipe, too."""
    if requires_weights(recipe):
        return weights_need_walk(why)
    return f'engine = "walk" does not support this target: {why}; {ADVICE}' if recipe.engine == WALK else ""


def weights_need_walk(why: str) -> str:
    """The error sentence for a recipe with token weights. `why` says why the walk cannot quantize the target."""
    return f"sink_share and token_weights need the engine walk, but {why}: remove both keys from the recipe"


def refusal(recipe: Any, target: Path, trust_remote_code: bool) -> str:
    """The reason why the walk cannot quantize this target by this recipe; "" if there is none.

    The function reads only the shapes of the weights.
    """
    from faq_tui.core.quantizing.sequential.walk_check import walk_refusal

    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    why = refusal_of_shapes(recipe, expert_count(config), quantized_shapes(target))
    return why or walk_refusal(target, trust_remote_code, packed=True, weighted=requires_weights(recipe))


def refusal_of_shapes(recipe: Any, experts: int, shapes: Mapping[str, tuple[int, int]]) -> str:
    """Say why the walk cannot quantize weights of these shapes or this number of experts; "" if it can."""
    if why := _refusal_of_experts(recipe, experts):
        return why
    each = WORD // recipe.bits
    for name, (out, columns) in shapes.items():
        if out % each or columns % each:
            return f"{out} x {columns} weights of {name} do not fill whole words of {WORD} bits"
    return ""


def engines_refusal(recipe: Any, target: Path, trust_remote_code: bool, of_library: str) -> str:
    """Implements `Method.refusal`: the reason why neither engine can quantize the target; "" if one of them can.

    `of_library` is the reason why GPTQModel cannot quantize the target.
    """
    from faq_tui.core.quantizing.sequential.walk_check import other_method

    if recipe.engine == GPTQMODEL:
        return of_library
    why = refusal(recipe, target, trust_remote_code)
    if why and requires_weights(recipe):
        return weights_need_walk(why)
    if not why or (recipe.engine != WALK and not of_library):
        return ""
    if recipe.engine == WALK and not of_library:
        return f'engine = "walk" does not support this target: {why}; {ADVICE}'
    return f"{why}; {other_method(target, trust_remote_code, packed=True)}"


def _refusal_of_experts(recipe: Any, experts: int) -> str:
    if experts and recipe.experts == "all":
        return "the engine walk does not calibrate every expert on every token"
    if experts and getattr(recipe, "alpha", None) is not None:
        return "the experts of the quantized and the unquantized model get different tokens"
    return ""


def cost_key(name: str, recipe: Any, profile: LayerProfile) -> str:
    """Implements `Method.cost_key` for the method `name`: `name@walk` for the walk, else `name`.

    The function uses only the recipe and the profile, but `refusal` also reads the target, so this function may
    return the key of the walk for a job that runs on GPTQModel.
    """
    each = WORD // recipe.bits
    odd = any(out % each or columns % each for out, columns, _ in profile.shapes)
    by_library = recipe.engine == GPTQMODEL or odd or _refusal_of_experts(recipe, profile.experts)
    return name if by_library else f"{name}@{WALK}"


def by_engine(
    job: QuantizationJob,
    target: Path,
    rows: list[list[int]],
    progress: QuantizationProgress,
    cancel: CancelToken,
    by_library: Callable[[], EngineResult],
) -> EngineResult:
    """Quantize with the recipe's engine. Implements `Method.quantize`.

    `by_library` is a function that quantizes with GPTQModel.

    Some models call their layers in a way that the walk does not support. The walk notices an unsupported call only
    when it runs. If engine = "auto", GPTQModel then quantizes the model.
    """
    from faq_tui.core.models.stack import UnsupportedModel

    recipe: Any = job.recipe
    if uses_walk(job, target):
        try:
            return quantize_by_walk(job, target, rows, progress, cancel)
        except UnsupportedModel as error:
            if sentence := _refusal_of_required_walk(recipe, error.reason):
                raise FaqError(sentence) from error
            why = library_refusal(json.loads((target / "config.json").read_text(encoding="utf-8")))
            if why:
                raise FaqError(f"{error.reason}, and {why}; use another method for this model") from error
            # the worker's output goes to the log
            print(f"GPTQModel quantizes this model, because {error.reason}", flush=True)
    published = view_of(target)
    if published is not None:
        raise FaqError(
            f"the engine walk cannot quantize this target, and faq-tui does not run GPTQModel on a model in "
            f"{published.format.title}: use another target"
        )
    result = by_library()
    return replace(result, facts={"engine": GPTQMODEL, **result.facts})


def quantize_by_walk(
    job: QuantizationJob, target: Path, rows: list[list[int]], progress: QuantizationProgress, cancel: CancelToken
) -> EngineResult:
    """Quantize by GPTQ, or by GPTAQ if the recipe has `alpha`. This function implements `Method.quantize`.

    The columns with the largest activations are solved first. Without desc_act, the columns of a group stay together
    (see `factorize`).
    """
    from faq_tui.core.quantizing.methods.gptq.matrix import GridChoice, quantize_stack
    from faq_tui.core.quantizing.sequential.batching import Ordering, SolvedMatrix, stored_tensors
    from faq_tui.core.quantizing.sequential.engine import WalkMethod, quantize_layers

    recipe: Any = job.recipe
    grid = GridChoice(recipe.bits, recipe.group_size, recipe.sym, recipe.scale_search, recipe.desc_act)
    together = 0 if recipe.desc_act or recipe.group_size == -1 else recipe.group_size
    ordering = Ordering(recipe.damp_percent, True, together, getattr(recipe, "alpha", None))
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    meta = {"quantizer": ["faq-tui"], "damp_percent": recipe.damp_percent}
    config["quantization_config"] = quantization_config(
        recipe.bits, recipe.group_size, recipe.sym, recipe.desc_act, meta
    )

    def solve(
        names: list[list[str]], weights: list[Any], factor: Factor, check: Callable[[], None]
    ) -> dict[str, SolvedMatrix]:
        solved = {}
        for position, made in enumerate(quantize_stack(weights, factor, grid, check)):
            losses = made.loss.tolist()
            for index, sharing in enumerate(names):
                name, one = sharing[position], made.one(index)
                tensors = packed_tensors(name, one, recipe.bits, v2=not recipe.sym)
                solved[name] = SolvedMatrix(one.dense().to(weights[position].dtype), losses[index], tensors)
        return solved

    def stored(layer: int, solved: dict[str, SolvedMatrix], beside: Path) -> dict[str, Any]:
        del layer, beside
        return stored_tensors(solved)

    def dense(module: str, tensors: dict[str, Any]) -> Any:
        del module
        return dense_of(tensors, config["quantization_config"])

    method = WalkMethod(solve, stored, dense)
    facts = quantize_layers(job, ordering, target, rows, progress, cancel, method)
    (job.out / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    packed = packed_shapes(job.out, recipe.bits).values()
    return EngineResult(average_bits(recipe.bits, recipe.group_size, packed), {"engine": WALK, **facts})
