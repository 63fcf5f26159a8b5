"""Describe the size of a quantization: the shapes of one layer, and the number of calibration tokens."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from faq_tui.core.models.headers import linear_shapes, tensors_of
from faq_tui.core.quantizing.preflight import expert_count

LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class LayerProfile:
    """The sizes of a model's average layer and of a calibration set.

    The cost of a quantization depends on these sizes. `shapes` has one entry (out_features, in_features, count) for
    each shape of weight matrix in a layer.
    """

    shapes: tuple[tuple[int, int, float], ...]
    layers: int
    hidden: int
    resident_bytes: int  # size of the embeddings, the norms and the lm_head
    total_bytes: int
    rows: int
    tokens: int
    longest: int  # number of tokens in the longest row
    experts: int = 0  # number of experts per layer
    chosen: int = 0  # number of experts that the router chooses per token

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> LayerProfile:
        return cls(**{**body, "shapes": tuple((o, i, n) for o, i, n in body["shapes"])})

    @property
    def weights(self) -> float:
        """The number of weights in one layer."""
        return sum(out * columns * count for out, columns, count in self.shapes)

    @property
    def columns(self) -> float:
        """The number of columns of all weight matrices in one layer.

        A solver that quantizes one column at a time needs this number of steps.
        """
        return sum(columns * count for _, columns, count in self.shapes)

    @property
    def columns_together(self) -> float:
        """The number of steps that the methods in sequential/ need for one layer.

        In one step, these methods quantize one column in each of up to 64 matrices of the same shape.
        """
        return sum(columns * math.ceil(count / 64) for _, columns, count in self.shapes)

    @property
    def layer_bytes(self) -> float:
        return (self.total_bytes - self.resident_bytes) / max(1, self.layers)

    def routed(self, experts: str | None) -> LayerProfile:
        """This profile, adapted to a recipe's setting `experts`.

        If the setting is "all", every expert gets every token.
        """
        return replace(self, chosen=self.experts) if experts == "all" else self

    @property
    def active(self) -> float:
        """The share of a layer's weights that one token uses.

        Experts that the router does not choose are not used.
        """
        if not self.experts:
            return 1.0
        expert = sum(o * i * n for o, i, n in self.shapes if n >= self.experts)
        return (self.weights - expert * (1 - self.chosen / self.experts)) / self.weights


def profile_of(folder: Path, rows: int, tokens: int, longest: int) -> LayerProfile:
    """The profile of an unquantized model folder.

    Only the headers of the folder's files are read. Raises UsageError if the headers cannot be read.
    """
    shapes, tensors = linear_shapes(folder), tensors_of(folder)
    layers = max((int(number[1]) for name in shapes if (number := LAYER.search(name))), default=-1) + 1
    counts = Counter(shapes.values())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config") or config
    return LayerProfile(
        shapes=tuple((out, columns, count / max(1, layers)) for (out, columns), count in sorted(counts.items())),
        layers=layers,
        hidden=int(text.get("hidden_size") or min((columns for _, columns in counts), default=0)),
        resident_bytes=sum(s for name, (_, _, s) in tensors.items() if name.removesuffix(".weight") not in shapes),
        total_bytes=sum(size for _, _, size in tensors.values()),
        rows=rows,
        tokens=tokens,
        longest=longest,
        experts=expert_count(config),
        chosen=int(text.get("num_experts_per_tok") or 0),
    )
