"""Check that the logits of a token depend only on the tokens before it, by a call of a model without its weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.folder_check import FETCH
from faq_tui.core.models.stack import UnsupportedModel, find_stack, replaced
from faq_tui.core.models.trial_weights import give_weights

ROW, LONGER = (3, 4, 5, 6), (3, 4, 5, 6, 7, 8, 9, 10)
# The states change by much less than this share of the largest state if only the order of additions changes, and by
# much more if later tokens are seen.
LEAST_CHANGE = 0.01
# What torch says about tensors whose sizes do not fit together.
MISMATCH = re.compile(
    r"must match the size|must match except|shapes cannot be multiplied|same reduction dim|invalid for input of size"
)


def refusal_of_states(model: Any) -> str:
    """The reason why the logits of a token are no prediction from the tokens before it; "" if no reason is found.

    `model` has no weights, and it cannot be used afterwards. The call uses random weights and runs only one layer of
    each kind.
    """
    import torch

    reached: list[Any] = []  # the inputs of lm_head
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found = _states(model, reached)
    except FaqError as error:
        return str(error)
    except (RuntimeError, ValueError) as error:
        return "" if reached or not _is_of_model(error) else _refusal_of_call(model)
    except Exception:  # noqa: BLE001  this call is only a trial; the real call reports its own errors
        return ""
    if (found - found[0]).abs().max() > LEAST_CHANGE * found.abs().max():
        return f"in {type(model).__name__}, a token sees the tokens after it: faq-tui cannot evaluate it"
    return ""


def _states(model: Any, reached: list[Any]) -> Any:
    """The states before lm_head of the tokens `ROW`, [3, tokens, hidden].

    In the first entry, padding follows on these tokens, in the second, other tokens follow, and in the third, nothing
    follows. Without padding, some models build another attention mask.
    """
    import torch

    model.set_experts_implementation("eager")  # the others need matrices whose rows do not share memory
    layers, head = _layers_of(model), model.get_output_embeddings()
    chosen = list({kind_of(layer): layer for layer in reversed(layers)}.values())
    others = [layer for layer in layers if not any(layer is one for one in chosen)]
    give_weights(head, head=head)
    give_weights(model, [weight for layer in others for weight in layer.parameters()])
    head.register_forward_pre_hook(lambda _head, given: reached.append(given))
    with _skipped(chosen, others):
        backbone = Backbone(model)
        together = backbone.states([ROW, LONGER])[:, : len(ROW)]
        return torch.cat([together, backbone.states([ROW])])


def _is_of_model(error: Exception) -> bool:
    """True if the model's code probably raises this error for real weights, too."""
    return isinstance(error, ValueError) or bool(MISMATCH.search(str(error)))


def _refusal_of_call(model: Any) -> str:
    """The reason why the model cannot be called; "" if it can. All layers are run, with random weights."""
    import torch

    give_weights(model)
    try:
        with torch.inference_mode():
            model(input_ids=torch.tensor([ROW]), use_cache=False)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, ValueError):
            return not_on_text_alone(model, error)
        reason = short(error)
        if MISMATCH.search(reason):
            return f"{type(model).__name__} cannot compute with the sizes in its config.json ({reason}): {FETCH}"
    except Exception:  # noqa: BLE001  this call is only a trial; the real call reports its own errors
        return ""
    return ""


def not_on_text_alone(model: Any, error: Exception) -> str:
    """The refusal of a model whose own code raised `error` in a call with token ids only."""
    return f"{type(model).__name__} cannot be called on text alone ({short(error)}): faq-tui cannot evaluate it"


def short(error: Exception) -> str:
    """The error's message in one line of at most 160 characters, or the name of its class."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def _layers_of(model: Any) -> list[Any]:
    """The layers of the decoder. If it is not one stack of layers, the result is its longest list of modules."""
    import torch

    try:
        return list(find_stack(model).layers)
    except UnsupportedModel:
        lists = [list(module) for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
        return max(lists, key=len, default=[])


def kind_of(layer: Any) -> Any:
    """A value that is equal for layers that do the same computation with other weights."""
    parts = []
    for name, module in layer.named_modules():
        own = {key: value for key, value in vars(module).items() if isinstance(value, bool | str)}
        shapes = [(key, tuple(weight.shape)) for key, weight in module.named_parameters(recurse=False)]
        parts.append((name, _name_of(type(module)), tuple(sorted(own.items())), tuple(shapes)))
    return tuple(parts)


def _name_of(kind: type) -> str:
    """The name of a class with its module. `unfuse_block` makes a new class with this name for each layer."""
    return f"{kind.__module__}.{kind.__qualname__}"


@contextmanager
def _skipped(chosen: list[Any], others: list[Any]) -> Iterator[None]:
    """Let the layers `others` return their input, in the form in which the layers `chosen` return their output."""
    form: list[Any] = [None]

    def record(_layer: Any, _args: Any, output: Any) -> None:
        form[0] = output

    def pass_on(_layer: Any) -> Callable[..., Any]:
        def forward(*given: Any, **named: Any) -> Any:
            hidden = given[0] if given else next(iter(named.values()))
            return type(form[0])((hidden, *form[0][1:])) if isinstance(form[0], tuple | list) else hidden

        return forward

    hooks = [layer.register_forward_hook(record) for layer in chosen]
    try:
        with replaced(others, pass_on):
            yield
    finally:
        for hook in hooks:
            hook.remove()
