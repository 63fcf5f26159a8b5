"""Choose the class with which transformers builds a language model, even if its folder has vision parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError

LARGE = 1 << 24  # elements of a tensor


def auto_class(config: Any) -> Any:
    """The auto class for `config`: AutoModelForImageTextToText if it has vision parts, else AutoModelForCausalLM.

    Some families also have a class for text alone. It is used if transformers can build it from `config`. For an
    unknown config, the result is AutoModelForCausalLM, because the error of this class names the config.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    own_code = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if own_code or _is_alone(config, AutoModelForCausalLM._model_mapping):
        return AutoModelForCausalLM
    known = type(config) in AutoModelForImageTextToText._model_mapping
    return AutoModelForImageTextToText if known else AutoModelForCausalLM


def _is_alone(config: Any, causal: Any) -> bool:
    """True if transformers can build a model for text alone from `config`.

    `causal` maps the classes of configs to the classes of such models. A model that has the class of the text part's
    config can be built only if `causal` has that class, too.
    """
    if type(config) not in causal:
        return False
    return causal[type(config)].config_class is type(config) or type(config.get_text_config()) in causal


def empty_model(folder: Path, trust_remote_code: bool, dtype: Any = None) -> Any:
    """The model of a folder in eval mode, without weights. Its buffers have values.

    If `dtype` is None, the model has the dtype of its config. Raises UsageError if transformers cannot build the
    model, for example because the values in config.json contradict each other.
    """
    from accelerate import init_empty_weights
    from transformers import AutoConfig

    options = {} if dtype is None else {"dtype": dtype}
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        with init_empty_weights(include_buffers=False), _large_tensors_without_memory():
            return auto_class(config).from_config(config, trust_remote_code=trust_remote_code, **options).eval()
    except Exception as error:  # transformers and the classes of configs raise errors of many types
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(
            f"transformers cannot build the model of {folder / 'config.json'} ({reason}): fetch the model again, "
            "or install a version of transformers that knows it"
        ) from error


def _large_tensors_without_memory() -> Any:
    """A context in which large tensors without values are made on the device "meta".

    accelerate moves a parameter there only after it is made, and the parameters of experts take gigabytes. Buffers
    need their values, but no buffer is so large.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class OnMeta(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func in (torch.empty, torch.zeros) and kwargs.get("device") is None:
                found = func(*args, **{**kwargs, "device": "meta"})
                return found if found.numel() >= LARGE else func(*args, **kwargs)
            return func(*args, **kwargs)

    return OnMeta()
