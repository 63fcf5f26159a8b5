"""The recipe keys that weight the calibration tokens: `sink_share` and `token_weights`.

If a method can weight tokens in its Hessians, its recipe is a subclass of `WeightedRecipe`. This subclass declares
`sink_share` and `token_weights` with the types of this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from faq_tui.core.settings.recipe import Recipe
from faq_tui.core.settings.section import AddedLater, Section

OFF, AUTO = "off", "auto"
# The sink share that "auto" stands for, if the recipe has one (see `WeightedRecipe.auto_share`).
AUTO_SHARE = 0.03
LARGEST = 1000.0  # the largest weight of a kind of tokens
METHODS_WITH_WEIGHTS = "gptq, gptaq, spqr or w8a8"


def _share(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value not in (OFF, AUTO) and not (number and 0 < value < 1):
        raise ValueError(f'give "{OFF}", "{AUTO}" or a number above 0 and below 1')
    return value


SinkShare = Annotated[
    Literal["off", "auto"] | Annotated[float, Field(gt=0, lt=1)],
    BeforeValidator(_share),
    Field(
        description="share of all weight that samples' first tokens get; off: weight 1 each; "
        f"auto: {AUTO_SHARE:g} or off"
    ),
    AddedLater(),
]
Weight = Annotated[float, Field(ge=0.0, le=LARGEST)]


class KindWeights(Section):
    """The weight of each kind of tokens in the Hessians.

    The first token of a sample belongs to no kind: `sink_share` sets its weight.
    """

    answer: Annotated[Weight, Field(description="weight of the answer's tokens")] = 1.0
    reasoning: Annotated[Weight, Field(description="weight of the reasoning's tokens")] = 1.0
    question: Annotated[Weight, Field(description="weight of the question's tokens, and of plain text")] = 1.0
    template: Annotated[Weight, Field(description="weight of the chat template's tokens")] = 1.0

    @model_validator(mode="after")
    def _not_all_zero(self) -> Self:
        if not any(self.by_kind().values()):
            raise ValueError("at least one weight must be above 0")
        return self

    def by_kind(self) -> dict[str, float]:
        """The weight of each kind, by the kind's name in `token_kinds.KINDS`."""
        return self.model_dump()

    def __str__(self) -> str:
        return ", ".join(f"{kind} {weight:g}" for kind, weight in self.by_kind().items() if weight != 1.0)


TokenWeightsKey = Annotated[
    KindWeights, Field(description="weight of each kind of tokens in the Hessian"), AddedLater()
]
WEIGHTS_ADDED_LATER: Mapping[str, Any] = {"sink_share": OFF, "token_weights": KindWeights().by_kind()}
# The error message if a recipe sets one of these keys for a method of the library GPTQModel.
COUNTED_ONCE: Mapping[str, str] = dict.fromkeys(
    WEIGHTS_ADDED_LATER,
    f"the library GPTQModel counts every token once; use {METHODS_WITH_WEIGHTS}, "
    "or write the method in another [[recipes]] table without this key",
)


class WeightedRecipe(Recipe):
    """The recipe of a method that can weight tokens. A subclass declares the keys of this module."""

    added_later: ClassVar[Mapping[str, Any]] = WEIGHTS_ADDED_LATER

    def auto_share(self) -> float | None:
        """The share that `sink_share = "auto"` stands for; None if it stands for "off".

        The shares are results of experiments in which all kinds of tokens had the weight 1 (see docs/method.md).
        """
        return None

    def share_of_auto(self) -> float | None:
        """Like `auto_share`, but None if the recipe weights kinds of tokens."""
        return None if kind_weights_of(self) else self.auto_share()

    def values(self) -> dict[str, Any]:
        """Like `Recipe.values`, with "off" instead of "auto" if both mean the same for this recipe."""
        return {key: OFF if self._means_off(key, value) else value for key, value in super().values().items()}

    def with_keys_of_all(self) -> dict[str, Any]:
        every = super().with_keys_of_all()
        return {key: value for key, value in every.items() if not self._means_off(key, value)}

    def _means_off(self, key: str, value: Any) -> bool:
        return key == "sink_share" and value == AUTO and self.share_of_auto() is None

    def mark(self) -> str:
        share = _written_share(self)
        return f"{'' if share in (OFF, AUTO) else _sink_mark(share)}{'-kinds' if kind_weights_of(self) else ''}"

    def full_mark(self) -> str:
        weights, share = kind_weights_of(self) or {}, _written_share(self)
        sink = ""
        if self.share_of_auto() is not None and share in (OFF, AUTO):  # both are left out of `mark`
            sink = "-sinkoff" if share == OFF else _sink_mark(self.share_of_auto())
        kinds = "".join(f"-{kind}{weight:.12g}" for kind, weight in weights.items() if weight != 1.0)
        return f"{sink}{self.mark()}{kinds}"


def _written_share(recipe: Recipe) -> Any:
    return getattr(recipe, "sink_share", OFF)


def _sink_mark(share: Any) -> str:
    return f"-sink{100 * share:g}"


def sink_share_of(recipe: Recipe) -> float | None:
    """The recipe's sink share; None if it has none."""
    share = _written_share(recipe)
    if share == AUTO and isinstance(recipe, WeightedRecipe):
        return recipe.share_of_auto()
    return None if share == OFF else float(share)


def kind_weights_of(recipe: Recipe) -> dict[str, float] | None:
    """The weight of each kind of tokens; None if the recipe gives all kinds the weight 1."""
    weights = getattr(recipe, "token_weights", None)
    if weights is None or weights == KindWeights():
        return None
    return dict(weights.by_kind())


def is_weighted(recipe: Recipe) -> bool:
    """True if the recipe weights tokens where that is possible (see `requires_weights`)."""
    return sink_share_of(recipe) is not None or kind_weights_of(recipe) is not None


def requires_weights(recipe: Recipe) -> bool:
    """True if the recipe may only be applied with weights.

    Only faq-tui's own quantization can weight tokens, not the library GPTQModel, and the tokens of some models cannot
    be weighted. There, `sink_share = "auto"` gives all tokens the weight 1.
    """
    return kind_weights_of(recipe) is not None or _written_share(recipe) not in (OFF, AUTO)
