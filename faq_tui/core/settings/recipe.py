"""`[[recipes]]`: how the target is quantized."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from faq_tui.core.settings.method_keys import METHOD_KEYS, MethodKeys
from faq_tui.core.settings.section import Section

GRID = ("method", "bits", "group_size", "preset")  # keys that a list spreads out into several recipes


class Recipe(Section):
    """One way to quantize, on each of its sets. A key that its method does not know is refused, and None."""

    method: Literal["gptq", "gptaq", "awq", "spqr", "w8a8"] = "gptq"
    bits: Literal[3, 4, 8] = 4
    group_size: Literal[-1, 16, 32, 64, 128, 256, 512, 1024] = 128  # -1: one group a row
    preset: Literal["paper", "default", "reference"] | None = None  # fills in what the recipe leaves unsaid
    sets: tuple[str, ...] | None = None  # None: baseline and every source, each also at equal tokens
    sym: bool | None = None
    desc_act: bool | None = None  # gptq, gptaq: columns by falling activation, not by place
    damp_percent: Annotated[float, Field(gt=0.0, le=10.0)] | None = None  # of the Hessian's mean diagonal
    experts: Literal["routed", "all"] | None = None  # tokens an expert is calibrated on: its own, or every one
    alpha: Annotated[float, Field(ge=0.0, le=1.0)] | None = None  # gptaq: how far inputs' errors are answered
    outlier_threshold: Annotated[float, Field(gt=0.0)] | None = None  # spqr: τ, smaller makes more outliers
    scale_bits: Annotated[int, Field(ge=0, le=8)] | None = None  # spqr: of scales and zeros; 0: both in 16 bits
    scale_group: Annotated[int, Field(ge=1, le=4096)] | None = None  # spqr: output rows that share a scale's scale

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """What the recipe leaves unsaid, from its preset and its method."""
        if not isinstance(values, Mapping):
            return values
        method = values.get("method", "gptq")
        known = METHOD_KEYS.get(method) if isinstance(method, str) else None
        if known is None:
            return values
        preset = values.get("preset")
        if isinstance(preset, str) and preset not in known.presets:
            raise ValueError(f"{method} has no preset {preset!r}: choose one of {', '.join(known.presets)}")
        given = {key: value for key, value in values.items() if value is not None}
        return {**known.values(preset if isinstance(preset, str) else None), **given}

    @field_validator("bits", "group_size")
    @classmethod
    def _written_by_its_method(cls, value: int, info: ValidationInfo) -> int:
        method = info.data.get("method", "gptq")
        known = METHOD_KEYS[method]
        choices = known.bits if info.field_name == "bits" else known.group_sizes
        if value not in choices:
            raise ValueError(f"{method} has {_listed(choices)}")
        return value

    @field_validator("damp_percent")
    @classmethod
    def _damped_as_gptqmodel_allows(cls, value: float | None, info: ValidationInfo) -> float | None:
        method = info.data.get("method", "gptq")
        if value is not None and value >= 1 and method in ("gptq", "gptaq"):
            raise ValueError(f"{method} takes less than 1")
        return value

    @model_validator(mode="after")
    def _fits_its_method(self) -> Recipe:
        known = METHOD_KEYS[self.method]
        for key in OWN_KEYS:
            if getattr(self, key) is not None and key not in known.defaults:
                raise ValueError(f"{self.method} has no {key}; it knows {', '.join(known.defaults)}")
        if self.method == "gptaq" and self.desc_act:
            raise ValueError("gptaq takes no desc_act = true: its second correction stands in the columns' own order")
        return self

    def identity(self) -> dict[str, Any]:
        """What makes an artefact what it is, apart from its set: the method's own keys, all of them."""
        keys = ("method", "bits", "group_size", *METHOD_KEYS[self.method].defaults)
        usual = {"experts": "routed"}  # came later than artefacts that lack it
        return {key: getattr(self, key) for key in keys if usual.get(key) != getattr(self, key)}

    def unusual(self) -> dict[str, Any]:
        """The method's own keys that are not as they usually are."""
        usual = METHOD_KEYS[self.method].defaults
        return {key: getattr(self, key) for key in usual if getattr(self, key) != usual[key]}

    def folder(self, set_name: str) -> str:
        """Name of the artefact's folder under `models/`."""
        group = "c" if self.group_size == -1 else str(self.group_size)
        preset = f"-{self.preset}" if self.preset == "reference" else ""
        return f"{self.method}{preset}-w{self.bits}g{group}-{set_name}"


OWN_KEYS = tuple(dict.fromkeys(key for known in METHOD_KEYS.values() for key in known.defaults))


def spread(recipes: Any) -> Any:
    """Each recipe with lists in it as one recipe for every combination, in the order in which they are written.

    Combinations that a method does not have (awq at 8 bits) are left out, unless nothing would be left.
    """
    if not isinstance(recipes, list | tuple):
        return recipes
    return [single for recipe in recipes for single in combinations(recipe)]


def combinations(recipe: Any) -> list[Any]:
    """The recipes that one `[[recipes]]` of the file stands for."""
    if not isinstance(recipe, Mapping):
        return [recipe]
    lists = {key: recipe[key] for key in GRID if isinstance(recipe.get(key), list | tuple)}
    if not lists:
        return [recipe]
    found = [{**recipe, **dict(zip(lists, values, strict=True))} for values in itertools.product(*lists.values())]
    return [single for single in found if _exists(single, lists)] or found


def _exists(recipe: Mapping[str, Any], spread_out: Mapping[str, Any]) -> bool:
    """False for what another method has and this one has not; what none has is refused when it is read."""
    known = METHOD_KEYS.get(recipe.get("method", "gptq"))
    if known is None:
        return True
    return not any(
        recipe[key] not in choices(known) and any(recipe[key] in choices(other) for other in METHOD_KEYS.values())
        for key, choices in CHOICES.items()
        if key in spread_out
    )


CHOICES: dict[str, Callable[[MethodKeys], Container[Any]]] = {
    "bits": lambda known: known.bits,
    "group_size": lambda known: known.group_sizes,
    "preset": lambda known: known.presets,
}


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))


class Quantize(Section):
    """Where the quantizer can go on after a kill or a stop (gptq, of llama and qwen3_moe)."""

    checkpoint_s: Annotated[
        float, Field(ge=0.0, description="seconds between checkpoints of gptq (llama, qwen3_moe); 0: one each layer")
    ] = 600.0
