"""A causal model without its lm_head.

The model returns all hidden states. The logits are computed later, for a few positions at a time.

With a vocabulary of 150,000 tokens, the logits of a batch of four windows take gigabytes. The hidden states take only
a hundredth of this memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import FaqError

# Largest allowed difference between the logits of `LmHead` and the model's own logits, as a share of the largest
# logit. Rounding to bfloat16 causes a smaller difference; a head with another scale causes a much larger difference.
TOLERANCE = 0.03
# The key of config.json that scales the logits, by `model_type`, if the model multiplies by it. In all other
# architectures, logits are multiplied by `logit_scale` (Cohere) or divided by `logits_scaling` (Granite).
# MiniCPM 3 divides the input of lm_head by `logits_scaling`, so its logits are not scaled. Aya Vision and Cohere 2
# Vision ignore the `logit_scale` of their text part.
SCALES = {
    "aya_vision": "",
    "cohere2_vision": "",
    "falcon_h1": "lm_head_multiplier",
    "hyperclovax": "logits_scaling",
    "minicpm3": "",
    "muse_glimmer": "output_multiplier",
}
# The keys with which architectures name the softcap of the logits.
SOFTCAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")


@dataclass(frozen=True)
class LmHead:
    """logits = cap(scale * (states @ weight.T + bias)).

    The function cap(x) is softcap * tanh(x / softcap). If `softcap` is None, cap(x) is x.
    """

    weight: Any  # [vocabulary, hidden]
    bias: Any = None  # [vocabulary] or None

    scale: float = 1.0  # see SCALES
    softcap: float | None = None  # used by Gemma

    @classmethod
    def of(cls, model: Any) -> LmHead:
        """The head of `model`. Raises FaqError if the model's output layer has an unsupported form."""
        layer = model.get_output_embeddings()
        weight = getattr(layer, "weight", None)
        if weight is None or weight.dim() != 2 or not weight.is_floating_point():
            raise FaqError(f"{type(model).__name__} has no plain lm_head: faq-tui cannot evaluate it")
        config = model.config.get_text_config()
        softcap = next((cap for key in SOFTCAPS if (cap := getattr(config, key, None))), None)
        return cls(weight.detach(), getattr(layer, "bias", None), _scale(model.config), softcap)

    @property
    def vocabulary(self) -> int:
        return int(self.weight.shape[0])

    def logits(self, states: Any) -> Any:
        """Logits [tokens, vocabulary] (float32) for hidden states [tokens, hidden]."""
        import torch

        logits = torch.nn.functional.linear(states.to(self.weight.dtype), self.weight, self.bias).float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


def _scale(config: Any) -> float:
    """The factor by which a model with this config multiplies its logits."""
    text = config.get_text_config()
    kind = next((one.model_type for one in (config, text) if one.model_type in SCALES), None)
    if kind is not None:
        return float(getattr(text, SCALES[kind], None) or 1.0)
    scale = getattr(text, "logit_scale", None) or 1.0 / (getattr(text, "logits_scaling", None) or 1.0)
    return float(scale)


class Backbone:
    """Computes the input of lm_head for batches of token ids.

    During this computation, the model runs lm_head on only one position per row.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.head = LmHead.of(model)
        self._states: Any = None
        self._checked = False

    def _cut(self, _module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self._states = args[0]
        return (args[0][:, :1],)

    def prepare(self, rows: Sequence[Sequence[int]]) -> None:
        """Announce the rows for which `states` will be called.

        A model that is read layer by layer computes the states during this call.
        """

    def states(self, rows: Sequence[Sequence[int]]) -> Any:
        """Hidden states [rows, longest row, hidden] for rows of token ids. The rows may have different lengths.

        Values after the end of a shorter row have no meaning.
        """
        import torch

        longest, device = max(map(len, rows)), self.head.weight.device
        ids = torch.zeros((len(rows), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        hook = self.model.get_output_embeddings().register_forward_pre_hook(self._cut)
        with torch.inference_mode():
            try:
                out = self.model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
            finally:
                hook.remove()
            if tuple(self._states.shape[:-1]) != tuple(ids.shape):
                raise FaqError(
                    f"{type(self.model).__name__} does not have one state for each token before its lm_head: "
                    "faq-tui cannot evaluate it"
                )
            if not self._checked:
                self._check(out.logits[:, 0].float())
        return self._states

    def _check(self, logits: Any) -> None:
        """Raise FaqError if the logits of `head` differ too much from the logits of the model's own code."""
        ours = self.head.logits(self._states[:, 0])
        off = (ours - logits).abs().max()
        if off > TOLERANCE * logits.abs().max():
            raise FaqError(
                f"{type(self.model).__name__} changes its logits after lm_head in a way unknown to faq-tui "
                f"(off by {float(off):.3g}): faq-tui cannot evaluate it"
            )
        self._checked = True
