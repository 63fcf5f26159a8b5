"""Call a model without its layers, to find what faq-tui cannot do with its architecture.

The same calls are made before a run, on a model without weights, and when a model is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.backbone import Backbone, LmHead
from faq_tui.core.models.later_tokens import MISMATCH, ROW, not_on_text_alone, refusal_of_states, short
from faq_tui.core.models.stack import Stack, UnsupportedModel, capture, computed, find_stack
from faq_tui.core.models.trial_weights import FEW_IDS, fill, give_weights

WIDTH = 8  # the width of the hidden states in a trial call of lm_head
SPREAD = 16.0  # the standard deviation of these states; a softcap changes logits of this size


def refusal_of_call(stack: Stack) -> str:
    """The reason why the layers of a stack without weights cannot be run one at a time; "" if no reason is found.

    The model's base is called on two rows of token ids, but its layers are not run. For this call, the base and
    lm_head get random weights. The stack cannot be used afterwards.
    """
    ids = range(3, FEW_IDS)
    batches = [[list(ids[first : first + 8])] for first in (0, 8)]
    try:
        head = stack.model.get_output_embeddings()
        give_weights(stack.base, stack.layers.parameters(), head)
        if head is not None:
            give_weights(head, head=head)
        capture(stack, batches, "cpu", None, "cpu", lambda: None)
    except UnsupportedModel as error:
        return error.reason
    except Exception:  # noqa: BLE001  this call is only a trial; the real call reports its own errors
        return ""
    return ""


def refusal_of_stream(stack: Stack, device: str, dtype: Any) -> str:
    """The reason why the states before lm_head cannot be computed layer by layer; "" if there is none.

    All parts of the model but its layers have their weights and are on `device`. A model whose logits faq-tui cannot
    compute is not refused here, because its activations can be measured.
    """
    try:
        inputs = capture(stack, [[ROW]], device, dtype, device, lambda: None, device)
        with computed(stack, inputs.hidden[0]):
            Backbone(stack.model).states([ROW])
    except UnsupportedModel as error:
        return error.reason
    except FaqError:
        return ""
    except (AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        if "memory" in str(error):
            raise
        return f"{type(stack.model).__name__} cannot be called without its layers: {short(error)}"
    return ""


def refusal_of_logits(model: Any) -> str:
    """The reason why faq-tui cannot compute the logits of `model`; "" if no reason is found.

    `model` has no weights, and it cannot be used afterwards.
    """
    return _refusal_of_head(model) or refusal_of_states(model)


def _refusal_of_head(model: Any) -> str:
    """The reason that the code around the decoder gives; "" if there is none.

    Only this code is called: the decoder returns random states, and the embedding and lm_head get random weights. The
    first call has narrow states. If the code needs states of the model's width, the second call has such states and
    few token ids.
    """
    try:
        width = LmHead.of(model).weight.shape[1]
        try:
            _call_head(model, None, WIDTH)
        except RuntimeError:
            _call_head(model, FEW_IDS, width)
    except UnsupportedModel:  # a model without a plain stack of layers is read as a whole
        return ""
    except FaqError as error:
        return str(error)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        if "NoneType" in str(error) or "meta" in str(error):  # this call lacks something that a real call has
            return ""
        if MISMATCH.search(str(error)):  # lm_head may have another width than the decoder's states
            return ""
        return not_on_text_alone(model, error)
    except Exception:  # noqa: BLE001  this call is only a trial; the real call reports its own errors
        return ""
    return ""


def _call_head(model: Any, ids: int | None, width: int) -> None:
    """Call `model` with random states of this width. Its embedding and lm_head know `ids` token ids, or all."""
    import torch

    head, decoder = model.get_output_embeddings(), model.get_decoder()
    if decoder is model:  # in some models, get_decoder does not find the decoder
        decoder = model.get_submodule(find_stack(model).name.rpartition(".")[0])
    parts = (head, model.get_input_embeddings())
    own = [(part, name, weight) for part in parts for name, weight in part.named_parameters(recurse=False)]
    for part, name, weight in own:
        fill(part, name, torch.randn([ids or len(weight), *[width] * (weight.dim() - 1)]))
    try:
        with _returns(decoder, SPREAD * torch.randn(1, len(ROW), width)):
            Backbone(model).states([ROW])
    finally:
        for part, name, weight in own:
            fill(part, name, weight)


@contextmanager
def _returns(decoder: Any, states: Any) -> Iterator[None]:
    """Replace the decoder's `forward`, so that it returns `states` without any computation."""
    from transformers.modeling_outputs import BaseModelOutputWithPast

    class StatesOutput(BaseModelOutputWithPast):  # type: ignore[misc]
        """All entries but the states, such as the logits of routers, are None."""

        def __getattr__(self, name: str) -> None:
            if name.startswith("_"):
                raise AttributeError(name)

    def forward(*_: Any, **__: Any) -> Any:
        return StatesOutput(last_hidden_state=states)

    decoder.forward = forward  # this attribute hides the class's method `forward`
    try:
        yield
    finally:
        decoder.__dict__.pop("forward", None)
