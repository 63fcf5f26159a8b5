"""`[activations]`: where the target is looked at while a calibration set goes through it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from faq_tui.core.settings.evaluate import TARGET_ANSWERS, Evaluate
from faq_tui.core.settings.judge import JudgeSettings
from faq_tui.core.settings.recipe import Quantize, Recipe, spread
from faq_tui.core.settings.section import BASELINE, Count, Fraction, Section
from faq_tui.core.settings.set_plans import check, default_names, further_names, plans, twin_names
from faq_tui.core.settings.sets import Assemble, SetPlan, draw_name, plain_name
from faq_tui.core.settings.source import Source, name_the_target
from faq_tui.core.settings.target import Preset, Seeds, Target


class Activations(Section):
    """What the spikes pane and the report are made of; it changes no artefact."""

    enabled: bool = True
    modules: tuple[str, ...] = ("o_proj",)  # last parts of module names, looked at their input; "experts": of MoE
    samples: Count = 64  # at most, of each set, from its beginning
    tokens: Count = 16384  # at most, of each set; whole samples, but at least one
    expert_minimum: Fraction = 0.005  # of a set's tokens: experts that get fewer are named
    layer_error_tokens: Annotated[int, Field(ge=0)] = 1024  # of held-out text, for each artefact; 0: not measured


class Settings(Section):
    """The whole file."""

    target: Target
    seeds: Seeds
    sources: dict[str, Source] = Field(default_factory=dict)
    judge: JudgeSettings = Field(default_factory=JudgeSettings)
    assemble: Assemble = Assemble()
    sets: dict[str, SetPlan] = Field(default_factory=dict)
    activations: Activations = Activations()
    recipes: tuple[Recipe, ...] = (Recipe(),)
    quantize: Quantize = Quantize()
    evaluate: Evaluate = Evaluate()
    preset: Preset | None = None

    @model_validator(mode="before")
    @classmethod
    def _itself(cls, raw: object) -> object:
        return name_the_target(raw)

    @field_validator("recipes", mode="before")
    @classmethod
    def _grids(cls, recipes: object) -> object:
        return spread(recipes)

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for name in self.sources:
            if not name.isidentifier() or name == BASELINE:
                raise ValueError(f'sources.{name}: a source name is a word, and not "{BASELINE}"')
        check(self.sources, self.sets, self._asked())
        known = self.set_names()
        for number, recipe in enumerate(self.recipes, 1):
            for set_name in recipe.sets or ():
                if set_name not in known:
                    raise ValueError(f"recipes[{number}].sets: no set {set_name!r}; there are {', '.join(known)}")
        for name in known:
            if self.evaluate.repeats > 1 and plain_name(name) != name:
                raise ValueError(f"sets.{name}: with evaluate.repeats this name belongs to a draw: choose another")
        for name in self.evaluate.answers:
            if name not in (TARGET_ANSWERS, *self.sources):
                there = ", ".join((TARGET_ANSWERS, *self.sources))
                raise ValueError(f"evaluate.answers: no source {name!r}; there are {there}")
        folders = [recipe.folder(name) for recipe in self.recipes for name in self.sets_of(recipe)]
        for folder in folders:
            if folders.count(folder) > 1:
                raise ValueError(f"recipes: two recipes would both write models/{folder}")
        return self

    def set_names(self) -> tuple[str, ...]:
        """Every calibration set of this run: plain sets (equal samples), their `-tokens` twins, then further ones."""
        further = further_names(self.sources, self.sets, self._asked())
        return (*default_names(self.sources), *twin_names(self.sources), *further)

    def all_set_names(self) -> tuple[str, ...]:
        """With the further draws of each set that `evaluate.repeats` asks for: `elder-r2`, `elder-r3` …"""
        return self._drawn(self.set_names())

    def _drawn(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(draw_name(name, n) for n in range(1, self.evaluate.repeats + 1) for name in names)

    def set_plans(self) -> dict[str, SetPlan]:
        """What each set is made from, but the twins, which are cut from their plain sets."""
        further = further_names(self.sources, self.sets, self._asked())
        return plans((*default_names(self.sources), *further), self.sources, self.sets)

    def _asked(self) -> tuple[str, ...]:
        return tuple(name for recipe in self.recipes for name in recipe.sets or ())

    def sets_of(self, recipe: Recipe) -> tuple[str, ...]:
        """The sets a recipe is quantized on, each in all its draws."""
        return self._drawn(recipe.sets if recipe.sets is not None else self.set_names())
