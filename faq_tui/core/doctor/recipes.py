"""Estimate time and memory for each recipe, and check whether this machine has enough memory."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.text import duration
from faq_tui.core.doctor.inputs import Check
from faq_tui.core.doctor.set_size import SetSize, largest_set
from faq_tui.core.embedded import cached_model
from faq_tui.core.models.devices import GpuInfo, first_gpu, free_bytes
from faq_tui.core.models.hub import cached_folder
from faq_tui.core.quantizing.cost_model import WORK, QuantizationCost, estimate_recipe
from faq_tui.core.quantizing.layer_profile import profile_of
from faq_tui.core.quantizing.parallel import MissingArtefact, WorkerPlace, places
from faq_tui.core.quantizing.recipe_check import check_gpus
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED

GIB = 1 << 30


def recipe_checks(run: Run) -> list[Check]:
    """One check for each recipe. If the target's files are not on this machine, a single check says so.

    If this machine has too few GPUs for one artefact, another check says so.
    """
    return [*_gpu_checks(run), *_cost_checks(run)]


def _gpu_checks(run: Run) -> list[Check]:
    try:
        check_gpus(run)
    except UsageError as error:
        why, _, advice = str(error).rpartition(": ")
        return [Check("GPUs of an artefact", "failed", why, advice)]
    return []


def _cost_checks(run: Run) -> list[Check]:
    folder = _target(run)
    if folder is None or not (folder / "config.json").is_file():
        later = "faq-tui can estimate the cost after it has downloaded the target's files"
        return [Check("recipes", "ok", later)] if run.settings.recipes else []
    size, gpu, free = largest_set(run), _gpu(run), free_bytes("cpu")
    try:
        costs = _costs(run, folder, size, gpu)
    except FaqError:
        return []  # the check of the target reports this problem
    checks = [
        _check(
            recipe.folder("").removesuffix("-"),
            len(run.settings.sets_of(recipe)),
            cost,
            gpu.free if gpu else None,
            free,
            size,
        )
        for recipe, cost in zip(run.settings.recipes, costs, strict=True)
    ]
    gpus = run.settings.quantize.gpus_per_artefact
    each = [
        (MissingArtefact(recipe, size.rows, size.tokens, size.longest, gpus), cost)
        for recipe, cost in zip(run.settings.recipes, costs, strict=True)
        for _ in run.settings.sets_of(recipe)
    ]
    setting = run.settings.quantize.parallel
    found = places(setting, run.settings.target.device, folder, [missing for missing, _ in each])
    return [*checks, *together(found, [cost for _, cost in each], gpu.free if gpu else None, free)]


def quantization_time(run: Run) -> tuple[float, bool] | None:
    """The seconds that all artefacts take, one after another. The bool is true if the number is an upper limit.

    None if the target's files are not on this machine, or if they cannot be read.
    """
    folder = _target(run)
    if folder is None or not (folder / "config.json").is_file():
        return None
    size = largest_set(run)
    try:
        costs = _costs(run, folder, size, _gpu(run))
    except FaqError:
        return None
    sets = [len(run.settings.sets_of(recipe)) for recipe in run.settings.recipes]
    each = [cost for cost, count in zip(costs, sets, strict=True) for _ in range(count)]
    repeated = sum(cost.startup for cost in each) - max((cost.startup for cost in each), default=0.0)
    return sum(cost.seconds for cost in each) - repeated, size.at_most


def _gpu(run: Run) -> GpuInfo | None:
    return first_gpu() if run.settings.target.device != "cpu" else None


def _costs(run: Run, folder: Path, size: SetSize, gpu: GpuInfo | None) -> list[QuantizationCost]:
    """The cost of one artefact of each recipe. Raises FaqError if the files in `folder` cannot be read."""
    profile = profile_of(folder, size.rows, size.tokens, size.longest)
    device = "cuda" if gpu or run.settings.target.device == "cuda" else "cpu"
    work, card = (gpu.free / 16, gpu.name) if gpu else (WORK, "")
    gpus = run.settings.quantize.gpus_per_artefact
    return [estimate_recipe(recipe, profile, device, work, card, gpus) for recipe in run.settings.recipes]


def together(
    found: list[WorkerPlace], costs: list[QuantizationCost], gpu: int | None, host: int | None
) -> list[Check]:
    """Check whether the memory suffices to make several artefacts at the same time.

    `gpu` and `host` are the numbers of free bytes, as in `fits`. The result is empty if only one artefact is made at
    a time.
    """
    if len(found) < 2:
        return []
    count = len(found)
    groups = {place.env.get("CUDA_VISIBLE_DEVICES", "") for place in found}  # each with the GPUs of a worker
    gpus = len({gpu for group in groups for gpu in group.split(",")})
    on_each = -(-count // len(groups))  # number of artefacts that share a GPU
    needs = sorted((cost.host_bytes for cost in costs), reverse=True)
    on_gpu = on_each * max(cost.gpu_bytes for cost in costs)
    small = fits(QuantizationCost(0.0, on_gpu, sum(needs[:count]), ""), gpu, host)
    text = f"{count} artefacts are made at the same time, with {sum(needs[:count]) / GIB:.1f} GiB of host memory"
    if on_gpu:
        text += f" and {on_gpu / GIB:.1f} GiB of {'GPU memory' if gpus == 1 else f'memory on each of {gpus} GPUs'}"
    if not small:
        return [Check("artefacts at the same time", "ok", text)]
    free = (gpu if small == "GPU" else host) or 0
    advice = f"{free / GIB:.1f} GiB of {small} memory are free: give quantize.parallel a lower number, or auto"
    return [Check("artefacts at the same time", "warning", text, advice)]


def _target(run: Run) -> Path | None:
    name = run.settings.target.model
    if name == EMBEDDED:
        cached = cached_model()
        return cached.folder if cached else None
    folder = run.resolve(name)
    return folder if folder.is_dir() else cached_folder(name)


def fits(cost: QuantizationCost, gpu: int | None, host: int | None) -> str:
    """Return the name of the memory that is too small for the quantization, "GPU" or "host"; "" if both are large
    enough.

    `gpu` and `host` are the numbers of free bytes. `gpu` is None if there is no GPU. `host` is None if the system
    does not report its free memory.
    """
    if cost.gpu_bytes and gpu is not None and cost.gpu_bytes > gpu:
        return "GPU"
    if host is not None and cost.host_bytes > host:
        return "host"
    return ""


def _check(name: str, sets: int, cost: QuantizationCost, gpu: int | None, host: int | None, size: SetSize) -> Check:
    memory = f"{cost.host_bytes / GIB:.1f} GiB of host memory"
    if cost.gpu_bytes:
        where = "GPU memory" if cost.gpus == 1 else f"memory on each of {cost.gpus} GPUs"
        least = "at least " if cost.uses_more else ""
        memory = f"{least}{cost.gpu_bytes / GIB:.1f} GiB of {where}, {memory}"
    each = f" each for {sets} sets" if sets > 1 else ""
    basis = f"based on a measurement of {cost.source}" if cost.source else "a rough guess without a measurement"
    time = f"{'at most about' if size.at_most else 'about'} {duration(max(1, cost.seconds))}"
    text = f"{time}{each}, {memory}; {size.words}; {basis}"
    small = fits(cost, gpu, host)
    if not small:
        return Check(f"recipe {name}", "ok", text)
    free = (gpu if small == "GPU" else host) or 0
    if not cost.source:
        return Check(
            f"recipe {name}",
            "warning",
            text,
            f"{free / GIB:.1f} GiB of {small} memory are free: it may work, so try it",
        )
    advice = f"{free / GIB:.1f} GiB of {small} memory are free: use fewer or shorter rows, or a larger machine"
    return Check(f"recipe {name}", "failed", text, advice)
