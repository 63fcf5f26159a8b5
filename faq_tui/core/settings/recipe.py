"""Settings in `[[recipes]]`: how the target is quantized.

Each quantization method declares its keys in a subclass of `Recipe` (see `faq_tui.core.quantizing.methods`). The
registry of methods finds the subclass. This module defines the keys that all methods share. The module reads the
recipes of a file in two steps. First, `combinations` splits a recipe with lists into several recipes. Then
`build_recipe` parses each recipe with the subclass of its method.
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
from faq_tui.core.settings.section import AddedLater, Count, Section

DEFAULT_METHOD = "gptq"
COMMON = ("method", "bits", "group_size", "preset", "sets")  # the keys of every method
GRID = ("method", "bits", "group_size", "preset")  # if one of these keys is a list, several recipes are made
CHOICES = ("bits", "group_size", "preset")  # the keys in GRID for which each method has its own possible values

# all group sizes that gptqmodel 7.7 accepts; -1 means that each row is one group
GroupSize = Literal[-1, 16, 32, 64, 128, 256, 512, 1024]
PAPER: Mapping[str, Any] = {"group_size": 128}  # the FAQ paper states only a group size of 128, INT4 and INT8
Damping = Annotated[
    float,
    Field(gt=0.0, le=10.0, description="this share of the diagonal's mean is added to the Hessian's diagonal"),
]
Presets = Mapping[str, Mapping[str, Any]]  # maps the name of each preset to its default values


class Recipe(Section):
    """One way to quantize the target on each set in `sets`. Every method has a subclass, which declares its keys.

    A subclass limits `method`, `bits` and `group_size` to `Literal` types with defaults. A subclass also adds its own
    keys, each with a default and a description. `presets` maps the name of each preset to its default values. A key
    with the value None is treated like a missing key.
    """

    presets: ClassVar[Presets] = {}
    # Keys that older artefacts do not have, each with the value that applies to older artefacts.
    added_later: ClassVar[Mapping[str, Any]] = {}
    # Keys of other methods that this method cannot have, each with the reason.
    lacking: ClassVar[Mapping[str, str]] = {}

    method: Annotated[str, Field(description="the quantization method")]
    bits: Annotated[int, Field(description="bits per weight")]
    group_size: Annotated[
        int, Field(description="number of input features that share a scale; -1 means one group per row")
    ]
    preset: Annotated[
        str | None, Field(description="name of a preset: a set of default values that the method offers")
    ] = None
    sets: Annotated[
        tuple[str, ...] | None,
        Field(description="calibration sets; default: every set of the run"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:
        """Add the preset's values for keys that the recipe does not have."""
        if not isinstance(values, Mapping):
            return values
        given = {key: value for key, value in values.items() if value is not None}
        for key in given:
            if key in cls.lacking:
                raise ValueError(f"{cls.method_name()} has no key `{key}`: {cls.lacking[key]}")
            if key not in cls.model_fields and key in known_keys():
                raise ValueError(f"{cls.method_name()} has no key `{key}`; its keys are {', '.join(cls.own_keys())}")
        preset = given.get("preset")
        if not isinstance(preset, str):
            return given
        if preset not in cls.presets:
            choice = (
                f"choose one of {', '.join(cls.presets)}"
                if cls.presets
                else "the method has no presets, so remove the key `preset`"
            )
            raise ValueError(f"{cls.method_name()} has no preset {preset!r}: {choice}")
        return {**cls.presets[preset], **given}

    @field_validator("bits", "group_size", mode="before")
    @classmethod
    def _one_of_the_method(cls, value: Any, info: ValidationInfo) -> Any:
        choices = cls.choices(str(info.field_name))
        if choices and (type(value) is not int or value not in choices):
            raise ValueError(f"{cls.method_name()} supports {listed(choices)}")
        return value

    @cached_property
    def number(self) -> int:
        """Number of the recipe's `[[recipes]]` table in the file, counted from 1.

        All recipes of one table have the same number.

        The number is ignored when two recipes are compared.
        """
        return 1

    @cached_property
    def shared_mark(self) -> bool:
        """True if an earlier recipe of the file has the same `mark`, a different `full_mark`, and a set in common."""
        return False

    @classmethod
    def method_name(cls) -> str:
        """The method's name in `faq.toml`."""
        return str(cls.model_fields["method"].default)

    @classmethod
    def own_keys(cls) -> tuple[str, ...]:
        """The keys that only this method has, in the order of their declaration."""
        return tuple(key for key in cls.model_fields if key not in COMMON)

    @classmethod
    def describe(cls, key: str) -> str:
        """A short description of the key."""
        fields = (model.model_fields.get(key) for model in (cls, Recipe))
        return next((field.description for field in fields if field is not None and field.description), "")

    @classmethod
    def choices(cls, key: str) -> tuple[Any, ...]:
        """The possible values of a key; empty if they cannot be listed."""
        if key == "preset":
            return tuple(cls.presets)
        annotation = cls.model_fields[key].annotation
        return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()

    def values(self) -> dict[str, Any]:
        """The values of all keys that affect the weights, except `sets`.

        The manifest stores these values as `recipe`.
        """
        values = {key: getattr(self, key) for key in ("method", "bits", "group_size", *self.own_keys())}
        return {key: value.model_dump() if isinstance(value, Section) else value for key, value in values.items()}

    def identity(self) -> dict[str, Any]:
        """The part of `values` that the artefact's signature, the database and the worker's job contain.

        A key in `added_later` is omitted if it has the value of older artefacts. So the signatures of these artefacts
        stay valid.
        """
        return {key: value for key, value in self.values().items() if self.added_later.get(key) != value}

    @classmethod
    def earlier_value(cls, name: str) -> Any:
        """The value of a key with `AddedLater` in older artefacts. The default may have changed since then."""
        return cls.added_later[name] if name in cls.added_later else super().earlier_value(name)

    def unusual(self) -> dict[str, Any]:
        """The keys of this method with a value that is not the default. Keys that all methods share are left out."""
        fields = type(self).model_fields
        return {key: value for key in self.own_keys() if (value := getattr(self, key)) != fields[key].default}

    def folder(self, set_name: str) -> str:
        """Name of the artefact's folder under `models/`.

        The name contains the `mark` of the recipe, or its `full_mark` if `shared_mark` is true. The name also
        contains the preset's name if the preset sets keys that only this method has.
        """
        group = "c" if self.group_size == -1 else str(self.group_size)
        preset = f"-{self.preset}" if set(self.presets.get(self.preset or "", ())) - set(COMMON) else ""
        mark = self.full_mark() if self.shared_mark else self.mark()
        return f"{self.method}{preset}{mark}-w{self.bits}g{group}-{set_name}"

    def mark(self) -> str:
        """The part of the artefact's name that shows the values of keys that people vary within one run."""
        return ""

    def full_mark(self) -> str:
        """Like `mark`, but two recipes with different values always have different results."""
        return self.mark()

    def with_keys_of_all(self) -> dict[str, Any]:
        """All fields as a dict, with the keys of all methods of faq-tui.

        A key that this method does not have is None.
        """
        every: dict[str, Any] = dict.fromkeys(COMMON)
        for name in METHODS.builtin:
            model = model_of(name)
            every |= dict.fromkeys(key for key in model.own_keys() if key not in model.added_later_keys())
        return every | self.model_dump()


def model_of(method: str) -> type[Recipe]:
    """The `Recipe` subclass of a method. Raises UsageError if the method does not exist."""
    model: type[Recipe] = METHODS.get(method).recipe
    return model


def known_keys() -> tuple[str, ...]:
    """The keys of all methods."""
    own = (key for name in METHODS.names() for key in model_of(name).own_keys())
    return tuple(dict.fromkeys((*COMMON, *own)))


def build_recipe(values: Mapping[str, Any]) -> Recipe:
    """Parse one recipe with the subclass of its method. Keys are checked and defaults are set only in this function.

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
    """The recipe for a file without recipes."""
    return build_recipe({})


def parse_recipes(recipes: Any) -> Any:
    """Split the `[[recipes]]` of a file into single recipes and parse them.

    Errors name the index of the `[[recipes]]` table in the file. If `recipes` is not a list, the function returns it
    unchanged, and the schema then refuses it.
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
                # `number` is not a field, and the model is frozen, so the value is written directly
                vars(parsed[-1])["number"] = index + 1
        except ValidationError as error:
            errors += [_relocated(one, index) for one in error.errors(include_url=False)]
    if errors:
        raise ValidationError.from_exception_data("recipes", errors)
    return tuple(parsed)


def combinations(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recipes of one `[[recipes]]` table: one recipe for each combination of values of its lists, in order.

    Each method uses only the values of a list that it supports. If a method in a list of methods supports none of a
    key's values, this method uses its own default for the key. For example, w8a8 ignores `group_size = 64`, so it can
    be in the same list as methods that use this value. The key `bits` is an exception: if a method supports none of
    the widths in a list, the method is omitted.
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
    """Index of the value in the list of values.

    The value may be a method's default that is not in the list. If the value is not in the list, the result is 0.
    """
    return listed_values.index(value) if value in listed_values else 0


def _options(method: Any, key: str, given: Any, several: bool) -> list[Any]:
    """The values of `key` for the recipes of one method.

    The list is empty if the method uses its default value.
    """
    values = _listed(given)
    if not isinstance(method, str) or method not in METHODS or not (several or isinstance(given, list | tuple)):
        return values
    own = [value for value in values if _has(method, key, value) or not _any_has(key, value)]
    return own or ([] if several else values)


def _has(method: str, key: str, value: Any) -> bool:
    choices = model_of(method).choices(key)
    return value in choices if choices or key == "preset" else True


def _any_has(key: str, value: Any) -> bool:
    """True if at least one method supports this value.

    A value that no method supports is refused later, when the recipe is built.
    """
    return any(_has(method, key, value) for method in METHODS.names())


def check_list_of_methods(recipe: Mapping[str, Any]) -> None:
    """Raise ValidationError if the recipe has a value that no method in its list of methods supports."""
    methods = recipe.get("method")
    if not isinstance(methods, list | tuple) or not all(isinstance(m, str) and m in METHODS for m in methods):
        # Nothing is checked if there is only one method, or if a method's name is unknown. An unknown name is refused
        # when the recipe is built.
        return
    for key in CHOICES:
        for value in _listed(recipe.get(key, [])):
            if methods and not any(_has(method, key, value) for method in methods):
                have = "; ".join(f"{method} supports {listed(model_of(method).choices(key))}" for method in methods)
                problem = PydanticCustomError("no_method_has", "{reason}", {"reason": have})
                raise ValidationError.from_exception_data(
                    "recipe", [InitErrorDetails(type=problem, loc=(key,), input=value)]
                )


def _relocated(error: Any, index: int) -> InitErrorDetails:
    """Add the recipe's `index` in the file (0-based) to the location of a pydantic error."""
    kind: Any = error["type"]
    if kind not in ("extra_forbidden", "missing"):
        kind = PydanticCustomError("value_error", "{reason}", {"reason": error["msg"]})
    return InitErrorDetails(type=kind, loc=(index, *error["loc"]), input=error["input"])


def recipe_of_worker(values: Mapping[str, Any]) -> Recipe:
    """Build the recipe in the worker.

    `values` is the result of `Recipe.identity`, which the pipeline sends to the worker as JSON. If a key is missing
    in `values`, it gets the value that older artefacts have, which may differ from the default.

    Raises UsageError.
    """
    method = values.get("method", DEFAULT_METHOD)
    older = model_of(method).added_later if isinstance(method, str) and method in METHODS else {}
    try:
        return build_recipe({**older, **values})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise UsageError(f"recipe{f' {where}' if where else ''}: {reason}") from None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def listed(values: Iterable[Any]) -> str:
    """The values as text, separated by commas."""
    return ", ".join(map(str, values))


class Quantize(Section):
    """How many artefacts are made at the same time, on how many GPUs, and how often gptqmodel saves checkpoints."""

    parallel: Annotated[
        Count | Literal["auto"],
        AddedLater(),
        Field(
            description="number of artefacts that are made at the same time; auto: one on each GPU, "
            "or two on a CPU if the target is small"
        ),
    ] = "auto"
    gpus_per_artefact: Annotated[
        Count,
        AddedLater(),
        Field(description="number of GPUs that make one artefact together"),
    ] = 1
    checkpoint_s: Annotated[
        float,
        Field(
            ge=0.0,
            description="seconds between gptqmodel's checkpoints (gptq on llama, qwen3_moe); "
            "0 saves after every layer",
        ),
    ] = 600.0
