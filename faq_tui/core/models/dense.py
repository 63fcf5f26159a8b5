"""Any artefact as a plain dense model, so that all of them, and the unquantized one, run the same kernels.

Quantized kernels differ in the fourth digit, which could fake or hide a difference between artefacts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.formats import DENSE, format_of
from faq_tui.core.models.model_code import without_code


def load_dense(folder: Path, dtype: Any, device: str, trust_remote_code: bool = False) -> Any:
    """A Hugging Face causal LM in eval mode, every parameter of `dtype` (a torch dtype) on `device`.

    The format of the folder's weights (`models.formats`) makes them dense in float32 and rounds them to `dtype` once;
    transformers then loads a dense state dict, so that fused experts and tied heads lie as in the unquantized model.
    Formats that quantize activations, too, round the inputs of their modules. No code of the folder runs unless
    `trust_remote_code`. Raises FaqError if no method has the folder's format, or weights are missing.
    """
    with without_code(folder, trust_remote_code) as safe:
        model, report = _load(safe, dtype, trust_remote_code)
    if report["missing_keys"]:  # transformers would fill them with random numbers, and warn
        raise FaqError(f"{folder} lacks the weights {', '.join(sorted(report['missing_keys'])[:3])}: make it again")
    return model.to(device).eval()


def _load(folder: Path, dtype: Any, trust_remote_code: bool) -> tuple[Any, dict[str, Any]]:
    """The model, and what transformers reports about its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    quantization = getattr(config, "quantization_config", None)
    options = {"dtype": dtype, "output_loading_info": True}
    if quantization is None:
        model, report = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=trust_remote_code, **options)
    else:
        format = format_of(quantization.get("quant_method"))
        if format is None or format is DENSE:
            raise FaqError(f"{folder} is quantized as {quantization.get('quant_method')!r}: no way to read that")
        del config.quantization_config
        with torch.device("meta"):
            shell = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
        state = format.dense_state(folder, quantization, dtype)
        model, report = type(shell).from_pretrained(None, config=config, state_dict=state, **options)
        format.prepare(model, quantization)
    return model, report
