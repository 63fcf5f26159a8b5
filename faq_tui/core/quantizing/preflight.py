"""Check models, sets and memory before the quantization. Each error says what is wrong, where, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.extensions import METHODS
from faq_tui.core.models.dense import FolderTensors, format_of
from faq_tui.core.models.devices import free_bytes, is_cuda
from faq_tui.core.models.folder_check import read_config
from faq_tui.core.models.headers import quantized_shapes, stored_tensors, tensors_of, view_of, weight_files
from faq_tui.core.models.published.view import READABLE, format_named, quantization_in, refuse_codes
from faq_tui.core.settings.recipe import GroupSize
from faq_tui.core.settings.section import EMBEDDED

if TYPE_CHECKING:
    from faq_tui.core.run.run import Run

MIN_TOKENS = 11  # a row needs at least this number of tokens; gptqmodel silently drops shorter rows
MIN_SET = 64  # a set needs at least this number of tokens; with fewer, some quantizers run but give useless results
GIB = 1 << 30


def check_target(folder: Path) -> dict[str, Any]:
    """The target's config.json. Raises UsageError unless the target is a causal language model with dense weights.

    A model that its publisher quantized in a format of `published/` counts as dense. If the weights are on this
    machine, their headers are checked, too.
    """
    config = read_config(folder)
    quantization = quantization_in(config)
    if quantization is not None and format_named(quantization) is None:
        name = " ".join(str(quantization.get("quant_method")).split())[:40]
        raise UsageError(
            f"{folder} is quantized already ({name}): give the unquantized model, or a model that is published as "
            f"{READABLE}"
        )
    if _has_weights(folder):
        stored = stored_tensors(folder)
        view_of(folder, stored)  # raises UsageError if codes and scales do not fit config.json
        if quantization is None:
            refuse_codes(folder, stored)
    architectures = config.get("architectures") or []
    auto_map = config.get("auto_map")
    if isinstance(auto_map, dict) and "AutoModelForCausalLM" in auto_map:
        return config
    from transformers.models.auto import modeling_auto

    known = set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    if isinstance(config.get("text_config"), dict) and not config.get("is_encoder_decoder"):
        known |= set(modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())
    if not any(name in known or name.endswith("ForCausalLM") for name in architectures):
        raise UsageError(
            f"{folder} is not a causal language model (architecture {', '.join(architectures) or 'not given'}): "
            "give a model that generates text"
        )
    masked = config.get("model_type") in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if masked and config.get("is_decoder") is not True:
        raise UsageError(
            f"{folder} predicts masked words, because is_decoder is not true in its config.json: "
            "give a model that generates text"
        )
    return config


def _has_weights(folder: Path) -> bool:
    try:
        return bool(weight_files(folder))
    except UsageError:
        return False


def check_readable(key: str, folder: Path) -> None:
    """Raise UsageError if faq-tui cannot read the weights of a local source. The setting `key` names the folder."""
    quantization = quantization_in(read_config(folder))
    if quantization is None or format_named(quantization) is not None:
        return
    name = quantization.get("quant_method")
    if name is None or format_of(name) is None:
        short = " ".join(str(name).split())[:40]
        raise UsageError(
            f"{key} {folder} is quantized in a form that faq-tui cannot read ({short}): give the unquantized model, "
            "or serve this one and set base_url"
        )


def check_chat_template(folder: Path) -> None:
    """Raise UsageError unless the tokenizer of `folder` has a chat template."""
    if any((folder / f"chat_template.{suffix}").is_file() for suffix in ("jinja", "json")):
        return
    if (folder / "additional_chat_templates").is_dir():
        return  # a later step checks whether one of these templates can be used
    path = folder / "tokenizer_config.json"
    try:
        if path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("chat_template"):
            return
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"{path} cannot be read ({reason}): fetch the model again") from error
    raise UsageError(
        f"the tokenizer of {folder} has no chat template: give the instruction-tuned model, "
        "or add its chat_template.jinja to the folder"
    )


def check_group_size(
    shapes: Mapping[str, tuple[int, int]], group_size: int, sizes: Sequence[int] = get_args(GroupSize)
) -> None:
    """Raise UsageError if `group_size` does not divide the in_features of a module. The message names possible sizes.

    `shapes` maps each module's name to (out_features, in_features). `sizes` lists all group sizes of the method. If
    `group_size` did not divide the in_features, no fast CUDA kernel could run the quantized model.
    """
    if group_size == -1:
        return
    for name, (_, in_features) in shapes.items():
        if in_features % group_size:
            fits = [size for size in sizes if all(width % size == 0 for _, width in shapes.values())]
            choice = (
                f"choose one of {', '.join(map(str, fits))}"
                if fits
                else "no group size fits this model: choose another method"
            )
            raise UsageError(
                f"group_size {group_size} does not divide the {in_features} input features of {name}: {choice}"
            )


def read_rows(path: Path) -> list[list[int]]:
    """The `input_ids` of every line of a calibration JSONL. A UsageError names the file and the line."""
    rows: list[list[int]] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                ids = json.loads(line)["input_ids"]
                if not isinstance(ids, list) or not all(type(token) is int for token in ids):
                    raise UsageError(
                        f"{path} line {number}: input_ids is not a list of integers: assemble the set again"
                    )
                rows.append(ids)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): assemble the calibration set first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} line {len(rows) + 1} has no input_ids: assemble the set again") from error
    return rows


def check_rows(rows: Iterable[list[int]], vocab_size: int) -> None:
    """Raise UsageError if the set is empty, a row is so short that gptqmodel drops it, or a token id is unknown."""
    number = 0
    for number, row in enumerate(rows, start=1):
        if len(row) < MIN_TOKENS:
            raise UsageError(
                f"calibration row {number} has only {len(row)} tokens, but a row needs {MIN_TOKENS}: remove the row"
            )
        wrong = next((token for token in row if not 0 <= token < vocab_size), None)
        if wrong is not None:
            raise UsageError(
                f"calibration row {number} has token id {wrong}, but the target's largest id is {vocab_size - 1}: "
                "assemble the set with the target's own tokenizer"
            )
    if number == 0:
        raise UsageError("the calibration set is empty: assemble it first")


def check_enough(rows: Sequence[list[int]]) -> None:
    """Raise UsageError if the set has so few tokens that no quantizer gives a useful result."""
    tokens = sum(map(len, rows))
    if tokens < MIN_SET:
        raise UsageError(
            f"the calibration set has only {tokens} tokens in {len(rows)} row{'s' * (len(rows) > 1)}: "
            f"give more seeds; {MIN_SET} tokens are the minimum, and a useful set has tens of thousands"
        )


def expert_count(config: Mapping[str, Any]) -> int:
    """The number of experts per layer, or 0 for a dense model. `config` is the body of config.json."""
    for part in (config, config.get("text_config") or {}):
        for key in ("num_experts", "num_local_experts", "n_routed_experts"):
            if part.get(key):
                return int(part[key])
    return 0


def check_finite(folder: Path, tensors: Iterable[str]) -> None:
    """Raise FaqError if a tensor named in `tensors` holds NaN or infinity. The tensors are read one by one.

    The function is used for embeddings, norms, routers and the lm_head. Modules that are quantized need no such
    check, because NaN in the weights makes the module's loss NaN.
    """
    name = not_finite(folder, tensors)
    if name is not None:
        raise FaqError(f"{name} in {tensors_of(folder)[name][0]} holds NaN or infinity: fetch the model again")


def not_finite(folder: Path, tensors: Iterable[str]) -> str | None:
    """The first name in `tensors` whose tensor holds NaN or infinity.

    Returns None if all tensors are finite.
    """
    source = FolderTensors(folder)
    for name in tensors:
        tensor = source.read(name)
        # If a value is NaN or infinite, then the minimum or the maximum is also NaN or infinite. The minimum and the
        # maximum need no extra memory, but a mask of all values (`isfinite`) would need it.
        if tensor.numel() and not all(bool(end.isfinite()) for end in tensor.aminmax()):
            return name
    return None


def check_memory(bytes_needed: int, device: str = "cpu") -> None:
    """Raise FaqError if `bytes_needed` exceeds the free memory of the device, for example `cpu` or `cuda`."""
    free = free_bytes(device)
    if free is not None and bytes_needed > free:
        raise FaqError(
            f"the model does not fit in {'GPU ' if is_cuda(device) else ''}memory: it needs about "
            f"{bytes_needed / GIB:.1f} GiB, but {free / GIB:.1f} GiB are free; "
            "free memory, or use fewer or shorter rows or a smaller model"
        )


def refuse_unquantizable(run: Run, recipes: bool = True) -> None:
    """Raise UsageError if a recipe cannot quantize the target, or if the target is not a chat model.

    A chat model is a causal model with a chat template. If `recipes` is false, recipes are not checked, because
    a calibration set may be meant for other quantizers. The function downloads nothing. If the target is a hub id,
    the target is checked after the download.
    """
    folder = run.resolve(run.settings.target.model)
    if run.settings.target.model == EMBEDDED or not (folder / "config.json").is_file():
        return
    config = check_target(folder)
    check_chat_template(folder)
    if recipes:
        refuse_recipes(run, config, quantized_shapes(folder))


def refuse_recipes(run: Run, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> None:
    """Raise UsageError if a recipe cannot quantize the target. The arguments are those of `Method.preflight`.

    If the weights were not downloaded yet, `shapes` is empty, and fewer problems are found.
    """
    for recipe in run.settings.recipes:
        METHODS.get(recipe.method).preflight(recipe, config, shapes)
