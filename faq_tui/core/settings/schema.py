"""The schema of `faq.toml`: all sections, and checks across sections."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from pydantic import Field, field_serializer, field_validator, model_validator

from faq_tui.core.settings.cluster import ClusterSettings
from faq_tui.core.settings.evaluate import TARGET_ANSWERS, Evaluate
from faq_tui.core.settings.judge import JudgeSettings
from faq_tui.core.settings.recipe import Quantize, Recipe, default_recipe, parse_recipes
from faq_tui.core.settings.section import BASELINE, AddedLater, Count, Fraction, Section
from faq_tui.core.settings.sets import (
    Assemble,
    SetPlan,
    check,
    default_names,
    draw_name,
    further_names,
    plain_name,
    plans,
    twin_names,
)
from faq_tui.core.settings.source import Source, name_the_target
from faq_tui.core.settings.target import Preset, Seeds, Target


class Activations(Section):
    """Measurements of the target's activations, for the spikes pane and the report.

    The measurements change no artefact.
    """

    enabled: Annotated[bool, Field(description="if false, the stage is skipped")] = True
    modules: Annotated[
        tuple[str, ...],
        Field(
            description="modules to measure, by the last part of their name; o_proj: the attention's output; "
            "experts: all experts"
        ),
    ] = ("o_proj",)
    samples: Annotated[
        Count, Field(description="measure at most this many samples of each set, from its beginning")
    ] = 64
    tokens: Annotated[
        Count, Field(description="measure at most this many tokens of each set, but at least one whole sample")
    ] = 16384
    expert_minimum: Annotated[
        Fraction, Field(description="a warning names experts that get less than this share of a set's tokens")
    ] = 0.005
    layer_error_tokens: Annotated[
        int,
        Field(
            ge=0,
            description="the error of each layer is measured on this many tokens of held-out text; 0: not measured",
        ),
    ] = 1024


class Settings(Section):
    """All sections of `faq.toml`."""

    target: Annotated[Target, Field(description="the model that is quantized")]
    seeds: Annotated[Seeds, Field(description="the questions")]
    sources: Annotated[
        dict[str, Source], Field(description="models that regenerate answers; give each source a name")
    ] = Field(default_factory=dict)
    judge: Annotated[JudgeSettings, Field(description="the judges that score the candidates")] = Field(
        default_factory=JudgeSettings
    )
    assemble: Annotated[Assemble, Field(description="how a picked conversation becomes token ids")] = Assemble()
    sets: Annotated[
        dict[str, SetPlan],
        Field(
            description="further calibration sets, besides the baseline and the set of each source; give each a name"
        ),
    ] = Field(default_factory=dict)
    activations: Annotated[
        Activations, Field(description="measurement of spikes in the target's activations; it changes no artefact")
    ] = Activations()
    recipes: Annotated[
        tuple[Recipe, ...],
        Field(description="how the target is quantized"),
    ] = Field(default_factory=lambda: (default_recipe(),))
    quantize: Annotated[
        Quantize, Field(description="how many artefacts are made at the same time, and when checkpoints are saved")
    ] = Quantize()
    cluster: Annotated[
        ClusterSettings, AddedLater(), Field(description="a Ray cluster that makes and evaluates the artefacts")
    ] = ClusterSettings()
    evaluate: Annotated[
        Evaluate, Field(description="texts and benchmarks that compare artefacts with the target")
    ] = Evaluate()
    preset: Annotated[
        Preset | None,
        Field(description="names the preset of `faq-tui init --preset`; has no effect on results; default: none"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _itself(cls, raw: object) -> object:
        return name_the_target(raw)

    @field_validator("recipes", mode="before")
    @classmethod
    def _by_method(cls, recipes: object) -> object:
        return parse_recipes(recipes)

    @field_serializer("recipes")
    def _with_keys_of_all(self, recipes: tuple[Recipe, ...]) -> tuple[dict[str, Any], ...]:
        """Serialize recipes with all keys. The report's signature hashes this form, so this form must not change."""
        return tuple(recipe.with_keys_of_all() for recipe in recipes)

    @model_validator(mode="after")
    def _agrees(self) -> Settings:
        """Check that keys in one section fit the other sections, and report the first mistake."""
        self._check_source_names()
        check(self.sources, self.sets, self._asked())
        self._check_sets_of_recipes()
        self._check_names_of_draws()
        self._check_answers()
        self._name_recipes()
        self._check_folders()
        return self

    def _check_source_names(self) -> None:
        for name in self.sources:
            if not name.isidentifier() or name == BASELINE:
                raise ValueError(f'sources.{name}: the name of a source must be one word other than "{BASELINE}"')

    def _check_sets_of_recipes(self) -> None:
        known = self.set_names()
        for recipe in self.recipes:
            for set_name in recipe.sets or ():
                if set_name not in known:
                    where = f"recipes[{recipe.number}].sets"
                    raise ValueError(f"{where}: there is no set {set_name!r}; the sets are {', '.join(known)}")

    def _check_names_of_draws(self) -> None:
        """Refuse sets that have the name of a draw, such as `elder-r2` for the second draw of `elder`."""
        for name in self.set_names():
            if self.evaluate.repeats > 1 and plain_name(name) != name:
                raise ValueError(f"sets.{name}: evaluate.repeats uses this name for a draw: choose another name")

    def _check_answers(self) -> None:
        known = (TARGET_ANSWERS, *self.sources)
        for name in self.evaluate.answers:
            if name not in known:
                raise ValueError(
                    f"evaluate.answers: there is no source {name!r}; the possible values are {', '.join(known)}"
                )

    def _name_recipes(self) -> None:
        """Set `shared_mark` of each recipe. The first recipe with a mark keeps its name if others are added."""
        owners: dict[str, Recipe] = {}
        for recipe in self.recipes:
            vars(recipe)["shared_mark"] = False  # not a field, and the model is frozen
            folders = [recipe.folder(name) for name in self.sets_of(recipe)]
            marks = {owners[folder].full_mark() for folder in folders if folder in owners}
            vars(recipe)["shared_mark"] = bool(marks) and recipe.full_mark() not in marks
            for name in self.sets_of(recipe):
                owners.setdefault(recipe.folder(name), recipe)

    def _check_folders(self) -> None:
        folders = Counter(recipe.folder(name) for recipe in self.recipes for name in self.sets_of(recipe))
        for folder, count in folders.items():
            if count > 1:
                raise ValueError(
                    f"recipes: two recipes would both write models/{folder}: remove one recipe, or give it other sets"
                )

    def set_names(self) -> tuple[str, ...]:
        """The names of all calibration sets.

        The default sets come first, then their copies with equal numbers of tokens (`-tokens`), then the sets of
        `[sets]`.
        """
        further = further_names(self.sources, self.sets, self._asked())
        return (*default_names(self.sources), *twin_names(self.sources), *further)

    def all_set_names(self) -> tuple[str, ...]:
        """`set_names`, followed by the further draws of these sets.

        Further draws, such as `elder-r2` and `elder-r3`, exist if `evaluate.repeats` is above 1.
        """
        return self._drawn(self.set_names())

    def _drawn(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(draw_name(name, n) for n in range(1, self.evaluate.repeats + 1) for name in names)

    def set_plans(self) -> dict[str, SetPlan]:
        """The plan of each set.

        The sets `NAME-tokens` have no plan, because they are cut from the default sets.
        """
        return plans(self._planned(), self.sources, self.sets)

    def set_plan(self, name: str) -> SetPlan | None:
        """The plan of one set; None if the set has no plan."""
        return plans([name], self.sources, self.sets)[name] if name in self._planned() else None

    def _planned(self) -> tuple[str, ...]:
        return (*default_names(self.sources), *further_names(self.sources, self.sets, self._asked()))

    def _asked(self) -> tuple[str, ...]:
        """The names of all sets that a recipe lists in its key `sets`."""
        return tuple(name for recipe in self.recipes for name in recipe.sets or ())

    def sets_of(self, recipe: Recipe) -> tuple[str, ...]:
        """The sets that are used to calibrate the target with this recipe. Each draw of a set is listed."""
        return self._drawn(recipe.sets if recipe.sets is not None else self.set_names())
