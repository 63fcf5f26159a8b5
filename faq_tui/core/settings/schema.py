"""The whole of `faq.toml`: its sections, and what they must agree on.

What the FAQ paper (arXiv 2601.11200) leaves unsaid (seed set, prompts, sampling, length) is our choice here.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from faq_tui.core.settings.assemble import Assemble
from faq_tui.core.settings.evaluate import Evaluate
from faq_tui.core.settings.judge import Judge
from faq_tui.core.settings.recipe import Recipe
from faq_tui.core.settings.section import BASELINE, TOKENS_SUFFIX, Section
from faq_tui.core.settings.source import Source
from faq_tui.core.settings.target import Seeds, Target


class Settings(Section):
    """The whole file."""

    target: Target
    seeds: Seeds
    sources: dict[str, Source] = Field(default_factory=dict)
    judge: Judge = Judge()
    assemble: Assemble = Assemble()
    recipes: tuple[Recipe, ...] = (Recipe(),)
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for name in self.sources:
            if not name.isidentifier() or name == BASELINE:
                raise ValueError(f'sources.{name}: a source name is a word, and not "{BASELINE}"')
        known = self.set_names()
        for number, recipe in enumerate(self.recipes, 1):
            for set_name in recipe.sets or ():
                if set_name not in known:
                    raise ValueError(f"recipes[{number}].sets: no set {set_name!r}; there are {', '.join(known)}")
        folders = [recipe.folder(name) for recipe in self.recipes for name in self.sets_of(recipe)]
        for folder in folders:
            if folders.count(folder) > 1:
                raise ValueError(f"recipes: two recipes would both write models/{folder}")
        return self

    def set_names(self) -> tuple[str, ...]:
        """Every calibration set of this run: plain sets (equal samples), then their `-tokens` twins."""
        plain = (BASELINE, *self.sources)
        return (*plain, *(f"{name}{TOKENS_SUFFIX}" for name in plain)) if self.sources else plain

    def sets_of(self, recipe: Recipe) -> tuple[str, ...]:
        """The sets a recipe is quantized on."""
        return recipe.sets if recipe.sets is not None else self.set_names()
