"""`[[recipes]]`: how the target is quantized.

Each quantization method declares the keys that it understands in a subclass of `Recipe` (see
`faq_tui.core.quantizing.methods`), found through the registry of methods. This module holds what all methods share,
and reads the recipes of a file: first a recipe with lists in it becomes several (`combinations`), then each of them
is parsed by the model of its method (`build_recipe`).
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from faq_tui.core.base.errors import UsageError
from faq_tui.core.extensions import METHODS
from faq_tui.core.settings.section import Section

DEFAULT_METHOD = "gptq"
COMMON = ("method", "bits", "group_size", "preset", "sets")  # the keys of every method
GRID = ("method", "bits", "group_size", "preset")  # a list in one of these keys makes several recipes
CHOICES = ("bits", "group_size", "preset")  # keys of the grid whose values differ from method to method

# All sizes that gptqmodel 7.7 accepts; -1: one group per row
GroupSize = Literal[-1, 16, 32, 64, 128, 256, 512, 1024]
PAPER: Mapping[str, Any] = {"group_size": 128}  # the FAQ paper names groups of 128, INT4 and INT8, and nothing else
Damping = Annotated[float, Field(gt=0.0, le=10.0, description="added to the Hessian's diagonal, times its mean")]
Presets = Mapping[str, Mapping[str, Any]]  # name -> further defaults


class Recipe(Section):
    """One way to quantize, applied to each of its sets. Every method has a subclass with the keys of that method.

    A subclass narrows `method`, `bits` and `group_size` to `Literal` types with a default, and adds its own keys,
    each with a default and a description. `presets` names further defaults. A key whose value is None counts as
    absent.
    """

    presets: ClassVar[Presets] = {}
    # Keys that were added after artefacts had been made without them, with the value that those artefacts have.
    added_later: ClassVar[Mapping[str, Any]] = {}

    method: Annotated[str, Field(description="the quantization method")]
    bits: Annotated[int, Field(description="bits a weight")]
    group_size: Annotated[int, Field(description="input features that share a scale; -1: one group a row")]
    preset: Annotated[str | None, Field(description="named defaults of the method")] = None
    sets: Annotated[
        tuple[str, ...] | None,
        Field(description="calibration sets; left out: baseline and every source, each also at equal tokens"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:
        """Add the preset's values for keys that the recipe leaves out."""
        if not isinstance(values, Mapping):
            return values
        given = {key: value for key, value in values.items() if value is not None}
        for key in given:
            if key not in cls.model_fields and key in known_keys():
                raise ValueError(f"{cls.method_name()} has no {key}; it knows {', '.join(cls.own_keys())}")
        preset = given.get("preset")
        if not isinstance(preset, str):
            return given
        if preset not in cls.presets:
            choice = f"choose one of {', '.join(cls.presets)}" if cls.presets else "it has none, so leave it out"
            raise ValueError(f"{cls.method_name()} has no preset {preset!r}: {choice}")
        return {**cls.presets[preset], **given}

    @field_validator("bits", "group_size", mode="before")
    @classmethod
    def _one_of_the_method(cls, value: Any, info: ValidationInfo) -> Any:
        choices = cls.choices(str(info.field_name))
        if choices and (type(value) is not int or value not in choices):
            raise ValueError(f"{cls.method_name()} has {listed(choices)}")
        return value

    @cached_property
    def number(self) -> int:
        """Number of its `[[recipes]]` in the file, from one. Lists in one make several recipes.

        The number is ignored when recipes are compared.
        """
        return 1

    @classmethod
    def method_name(cls) -> str:
        """The word for the method in `faq.toml`."""
        return str(cls.model_fields["method"].default)

    @classmethod
    def own_keys(cls) -> tuple[str, ...]:
        """The keys that the method adds to those of every method, in the order of their declaration."""
        return tuple(key for key in cls.model_fields if key not in COMMON)

    @classmethod
    def describe(cls, key: str) -> str:
        """What a key means, in a few words."""
        fields = (model.model_fields.get(key) for model in (cls, Recipe))
        return next((field.description for field in fields if field is not None and field.description), "")

    @classmethod
    def choices(cls, key: str) -> tuple[Any, ...]:
        """The values that a key can have; empty if they cannot be listed."""
        if key == "preset":
            return tuple(cls.presets)
        annotation = cls.model_fields[key].annotation
        return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()

    def values(self) -> dict[str, Any]:
        """All keys that affect the weights for a given calibration set: the manifest's `recipe`."""
        return {key: getattr(self, key) for key in ("method", "bits", "group_size", *self.own_keys())}

    def identity(self) -> dict[str, Any]:
        """`values` in the form of the artefact's signature, the database and the worker's job.

        Keys of `added_later` are left out if they have the value of older artefacts, which so keep their signatures.
        """
        return {key: value for key, value in self.values().items() if self.added_later.get(key) != value}

    def unusual(self) -> dict[str, Any]:
        """The method's own keys whose values are not the defaults."""
        fields = type(self).model_fields
        return {key: value for key in self.own_keys() if (value := getattr(self, key)) != fields[key].default}

    def folder(self, set_name: str) -> str:
        """Name of the artefact's folder under `models/`. A preset is part of it if it sets keys of the method."""
        group = "c" if self.group_size == -1 else str(self.group_size)
        preset = f"-{self.preset}" if set(self.presets.get(self.preset or "", ())) - set(COMMON) else ""
        return f"{self.method}{preset}-w{self.bits}g{group}-{set_name}"

    def with_keys_of_all(self) -> dict[str, Any]:
        """Every field, then the own keys of the methods that ship with faq-tui, None for a key that it lacks."""
        every: dict[str, Any] = dict.fromkeys(COMMON)
        for name in METHODS.builtin:
            every |= dict.fromkeys(model_of(name).own_keys())
        return every | self.model_dump()


def model_of(method: str) -> type[Recipe]:
    """The recipe model of a method. Raises UsageError if there is no such method."""
    model: type[Recipe] = METHODS.get(method).recipe
    return model


def known_keys() -> tuple[str, ...]:
    """The keys of all methods."""
    own = (key for name in METHODS.names() for key in model_of(name).own_keys())
    return tuple(dict.fromkeys((*COMMON, *own)))


def build_recipe(values: Mapping[str, Any]) -> Recipe:
    """One recipe, parsed by the model of its method: the only place where keys are checked and defaulted.

    Raises pydantic's ValidationError.
    """
    method = values.get("method", DEFAULT_METHOD)
    if not isinstance(method, str) or method not in METHODS:
        problem = PydanticCustomError("no_method", "{reason}", {"reason": METHODS.unknown(method)})
        raise ValidationError.from_exception_data(
            "recipe", [InitErrorDetails(type=problem, loc=("method",), input=None)]
        )
    return model_of(method).model_validate({**values, "method": method})


def default_recipe() -> Recipe:
    """The recipe of a file that has none."""
    return build_recipe({})


def parse_recipes(recipes: Any) -> Any:
    """`[[recipes]]` of a file, each spread out and parsed.

    Errors name a recipe by its index in the file, for all of its combinations. A value that is no list is returned
    unchanged, and the schema refuses it.
    """
    if not isinstance(recipes, list | tuple):
        return recipes
    parsed: list[Any] = []
    errors: list[InitErrorDetails] = []
    for index, recipe in enumerate(recipes):
        if not isinstance(recipe, Mapping):
            parsed.append(recipe)
            continue
        try:
            check_list_of_methods(recipe)
            for single in combinations(recipe):
                parsed.append(build_recipe(single))
                vars(parsed[-1])["number"] = index + 1  # the model is frozen, and this is not a field
        except ValidationError as error:
            errors += [_relocated(one, index) for one in error.errors(include_url=False)]
    if errors:
        raise ValidationError.from_exception_data("recipes", errors)
    return tuple(parsed)


def combinations(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recipes that one `[[recipes]]` of the file stands for, in the order in which its lists are written.

    A method uses those values of a list that it supports. If `method` itself is a list, a method that supports no
    value of another key uses its own default, so that `group_size = 64` suits w8a8, too. A list of `bits` leaves out
    a method that supports none of them: whoever lists 8 bits does not want awq at 4.
    """
    lists = [key for key in recipe if key in GRID and isinstance(recipe[key], list | tuple)]
    if not lists:
        return [dict(recipe)]
    several = "method" in lists
    singles: list[dict[str, Any]] = []
    for method in _listed(recipe.get("method", DEFAULT_METHOD)):
        options: dict[str, list[Any]] = {"method": [method]} if "method" in recipe else {}
        for key in CHOICES:
            if key in recipe:
                options[key] = _options(method, key, recipe[key], several)
        if "bits" in lists and not options["bits"]:
            continue
        dropped = {key for key, values in options.items() if not values}
        rest = {key: value for key, value in recipe.items() if key not in dropped}
        kept = {key: values for key, values in options.items() if values}
        singles += [{**rest, **dict(zip(kept, values, strict=True))} for values in itertools.product(*kept.values())]
    return sorted(singles, key=lambda single: [_position(recipe[key], single.get(key)) for key in lists])


def _position(listed_values: Sequence[Any], value: Any) -> int:
    """Index of a value in its list; 0 for a method's own default, which is not in it."""
    return listed_values.index(value) if value in listed_values else 0


def _options(method: Any, key: str, given: Any, several: bool) -> list[Any]:
    """The values of `key` that a combination can have; none: the method's own default."""
    values = _listed(given)
    if not isinstance(method, str) or method not in METHODS or not (several or isinstance(given, list | tuple)):
        return values
    own = [value for value in values if _has(method, key, value) or not _any_has(key, value)]
    return own or ([] if several else values)


def _has(method: str, key: str, value: Any) -> bool:
    choices = model_of(method).choices(key)
    return value in choices if choices or key == "preset" else True


def _any_has(key: str, value: Any) -> bool:
    """Whether any method has this value. Others are refused when the recipe is built."""
    return any(_has(method, key, value) for method in METHODS.names())


def check_list_of_methods(recipe: Mapping[str, Any]) -> None:
    """Raise ValidationError if a list of methods comes with a value that none of them has."""
    methods = recipe.get("method")
    if not isinstance(methods, list | tuple) or not all(isinstance(m, str) and m in METHODS for m in methods):
        return  # one method, or a name that is refused when the recipe is built
    for key in CHOICES:
        for value in _listed(recipe.get(key, [])):
            if methods and not any(_has(method, key, value) for method in methods):
                have = "; ".join(f"{method} has {listed(model_of(method).choices(key))}" for method in methods)
                problem = PydanticCustomError("no_method_has", "{reason}", {"reason": have})
                raise ValidationError.from_exception_data(
                    "recipe", [InitErrorDetails(type=problem, loc=(key,), input=value)]
                )


def _relocated(error: Any, index: int) -> InitErrorDetails:
    """A line of an error about one recipe, as a line about the recipe at `index` (0-based) of the file."""
    kind: Any = error["type"]
    if kind not in ("extra_forbidden", "missing"):
        kind = PydanticCustomError("value_error", "{reason}", {"reason": error["msg"]})
    return InitErrorDetails(type=kind, loc=(index, *error["loc"]), input=error["input"])


def recipe_of_worker(values: Mapping[str, Any]) -> Recipe:
    """`Recipe.identity` of the run's process, parsed again in the worker child. Raises UsageError."""
    try:
        return build_recipe(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise UsageError(f"recipe{f' {where}' if where else ''}: {reason}") from None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def listed(values: Iterable[Any]) -> str:
    """The values as words in a sentence."""
    return ", ".join(map(str, values))


class Quantize(Section):
    """Checkpoints for resuming after a kill or a stop (gptq with llama and qwen3_moe)."""

    checkpoint_s: Annotated[
        float, Field(ge=0.0, description="seconds between checkpoints of gptq (llama, qwen3_moe); 0: one each layer")
    ] = 600.0
