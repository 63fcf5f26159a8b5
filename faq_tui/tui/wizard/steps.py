"""The five steps of the wizard: their questions, their fields, and the checks of their answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from faq_tui.core.extensions import METHODS
from faq_tui.core.family.known import bare_name
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.settings.recipe import DEFAULT_METHOD, model_of
from faq_tui.core.setup import Draft, Line, StepReport
from faq_tui.core.setup.plan_step import PlanReport, look_at_plan
from faq_tui.core.setup.recipe_step import look_at_recipe
from faq_tui.core.setup.seeds_step import SeedsReport, look_at_seeds
from faq_tui.core.setup.server_step import ServerReport, look_at_source
from faq_tui.core.setup.target_step import TargetReport, look_at_target
from faq_tui.tui.widgets.form import Field

Answers = dict[str, Any]
ORIGINS = (
    ("a larger model on a server", "server"),
    ("the model itself, on this machine", "self"),
    ("no model for now", "none"),
)
FITTING = "fits the model"  # label of the choice that takes the group size from the model
DEFAULT = "(default)"
LONGEST_LABEL = 60  # maximum number of characters of a model's name in the list


@dataclass
class WizardState:
    """All answers so far, and the last report of each check."""

    here: Path
    answers: Answers = field(default_factory=dict)
    target: TargetReport = field(default_factory=TargetReport)
    seeds: SeedsReport = field(default_factory=SeedsReport)
    server: ServerReport = field(default_factory=ServerReport)
    plan: PlanReport = field(default_factory=PlanReport)

    def text(self, key: str) -> str:
        return str(self.answers.get(key) or "").strip()

    def draft(self) -> Draft:
        method = self.answers.get("method") or DEFAULT_METHOD
        model, size = model_of(method), self.answers.get("group_size")
        possible = model.choices("bits")
        bits: int = self.answers.get("bits", 0)
        return Draft(
            target=self.target.name or EMBEDDED,
            seeds=self.seeds.name or "starter",
            origin=self.answers.get("origin", "server"),
            url=self.server.url or self.text("url"),
            model=self.text("model") or self.server.model,
            key_env=self.text("key_env"),
            method=method,
            # `bits` and `size` may still be values for the method that was chosen before.
            bits=bits if bits in possible else possible[0],
            group_size=size if size in model.choices("group_size") else None,
            count=self.seeds.count,
            heldout=self.seeds.heldout,
            window=self.server.window,
            rate=self.server.rate,
            short=self.target.short,
        )


class WizardStep:
    """One step. `look` may be slow, so a thread calls it with a copy of the state.

    If `has_defaults` is true, the report decides the defaults that the fields show.
    """

    has_defaults: ClassVar[bool] = False
    title: ClassVar[str]  # one or two words for the line of steps
    question: ClassVar[str]

    def fields(self, state: WizardState, initial: Answers) -> list[Field]:
        """The fields of the step. `initial` holds the answers that were given before the user came to this step."""
        raise NotImplementedError

    def look(self, state: WizardState) -> StepReport:
        raise NotImplementedError

    def keep(self, state: WizardState, report: Any) -> None:
        """Store the report for later steps."""


class TargetStep(WizardStep):
    title = "Model"
    question = "Which model do you want to quantize?"

    def fields(self, state: WizardState, initial: Answers) -> list[Field]:  # noqa: ARG002
        text = 'A hub id such as Qwen/Qwen3-8B, a model folder, or "embedded" for a small model to try faq-tui with.'
        return [Field("target", initial.get("target") or None, label="Model", help=text)]

    def look(self, state: WizardState) -> StepReport:
        return look_at_target(state.text("target"), state.here)

    def keep(self, state: WizardState, report: Any) -> None:
        state.target = report


class SeedsStep(WizardStep):
    has_defaults = True
    title = "Questions"
    question = "Which questions are typical for the work of the model?"

    def fields(self, state: WizardState, initial: Answers) -> list[Field]:
        text = (
            "A text file with one question per line, JSON lines, CSV or Parquet; the id of a data set on the hub; or "
            '"starter" for 256 questions that come with faq-tui.'
        )
        count, heldout = state.seeds.usual
        more = "More questions make a larger calibration set, and take longer."
        return [
            Field("seeds", initial.get("seeds") or None, label="Questions", help=text),
            Field(
                "count", initial.get("count"), "number", label="Regenerate", placeholder=f"{count:,} {DEFAULT}",
                help=f"Number of questions that get new answers. {more}",
            ),
            Field(
                "heldout", initial.get("heldout"), "number", label="Hold out", placeholder=f"{heldout:,} {DEFAULT}",
                help="Number of further questions, which only the comparison of the quantized models uses.",
            ),
        ]  # fmt: skip

    def look(self, state: WizardState) -> StepReport:
        answers = state.answers
        return look_at_seeds(state.text("seeds"), state.here, answers.get("count"), answers.get("heldout"))

    def keep(self, state: WizardState, report: Any) -> None:
        state.seeds = report


class SourceStep(WizardStep):
    title = "Answers"
    question = "Which model answers these questions anew?"

    def fields(self, state: WizardState, initial: Answers) -> list[Field]:
        usual = "self" if state.target.name == EMBEDDED else "server"
        help_text = "The new answers become the calibration data. A larger model of the same family gives the best."
        origin = initial.get("origin", usual)
        yours = Field("origin", origin, "choice", label="New answers from", help=help_text, choices=ORIGINS)
        if state.answers.get("origin", usual) != "server":
            return [yours]
        return [yours, *self._server(state, initial)]

    def _server(self, state: WizardState, initial: Answers) -> Iterator[Field]:
        yield Field(
            "url", initial.get("url") or None, label="URL of the server",
            help="The URL of an OpenAI-compatible server such as vLLM, for example http://elder:8000/v1.",
        )  # fmt: skip
        yield Field(
            "key_env", initial.get("key_env") or None, label="Key variable",
            help="The environment variable that holds the API key, never the key itself. Empty if there is no key.",
        )  # fmt: skip
        help_text = "The larger model on this server."
        names = _family_first(state.server.models, state.target.elders)
        if names:
            chosen = state.text("model")
            yield Field(
                "model", chosen if chosen in names else names[0], "choice", label="Larger model", help=help_text,
                choices=tuple((name[:LONGEST_LABEL], name) for name in names),
            )  # fmt: skip
        else:
            yield Field("model", initial.get("model") or None, label="Larger model", help=help_text)

    def look(self, state: WizardState) -> StepReport:
        draft = state.draft()
        return look_at_source(replace(draft, url=state.text("url"), model=state.text("model")))

    def keep(self, state: WizardState, report: Any) -> None:
        state.server = report


class RecipeStep(WizardStep):
    title = "Recipe"
    question = "How is the model quantized?"

    def fields(self, state: WizardState, initial: Answers) -> list[Field]:
        """The fields for the method, and for those keys of the method that allow more than one value."""
        method = state.answers.get("method") or DEFAULT_METHOD
        methods = tuple((METHODS.get(name).title, name) for name in METHODS.names())
        chosen = initial.get("method") or DEFAULT_METHOD
        keys = (self._bits(method, initial.get("bits")), self._group_size(method, initial.get("group_size")))
        return [
            Field("method", chosen, "choice", label="Method", help=about, choices=methods),
            *(field for field in keys if len(field.choices) > 1),
        ]

    def _bits(self, method: str, value: Any) -> Field:
        model = model_of(method)
        possible = model.choices("bits")
        value = value if value in possible else possible[0]
        choices = tuple((str(bits), bits) for bits in possible)
        return Field("bits", value, "choice", label="Bits per weight", help=model.describe("bits"), choices=choices)

    def _group_size(self, method: str, value: Any) -> Field:
        possible = model_of(method).choices("group_size")
        labels = {-1: "one group per row"}
        choices = tuple((labels.get(size, str(size)), size) for size in possible)
        if len(choices) > 1:
            choices = ((FITTING, None), *choices)
        value = value if value in possible else None
        text = "Number of weights that share a scale. Smaller groups are more exact and take more space."
        return Field("group_size", value, "choice", label="Group size", help=text, choices=choices)

    def look(self, state: WizardState) -> StepReport:
        return look_at_recipe(state.draft(), state.target, state.here)


class PlanStep(WizardStep):
    title = "Plan"
    question = "This is the plan. In which folder is the run created?"

    def fields(self, state: WizardState, initial: Answers) -> list[Field]:
        name = initial.get("folder") or free_name(state)
        text = "A relative name begins in the current folder. The settings are the file faq.toml, which you can edit."
        return [Field("folder", name, label="Folder", help=text)]

    def look(self, state: WizardState) -> StepReport:
        report = look_at_plan(state.draft(), state.text("folder"), state.here)
        # The warnings of earlier steps are repeated, because this is the last screen before the run starts.
        earlier = [*state.target.lines, *state.seeds.lines, *state.server.lines]
        return replace(report, lines=(*report.lines, *(line for line in earlier if line.role == "warning")))

    def keep(self, state: WizardState, report: Any) -> None:
        state.plan = report


def all_steps() -> tuple[WizardStep, ...]:
    return TargetStep(), SeedsStep(), SourceStep(), RecipeStep(), PlanStep()


def about(method: str) -> str:
    """What the method does."""
    return str(METHODS.get(method).help)


def free_name(state: WizardState) -> str:
    """A name for the run's folder that is not taken: the name of the model, with a number if necessary."""
    last = "my-run" if state.target.name == EMBEDDED else state.target.name.rstrip("/").rpartition("/")[2]
    base = re.sub(r"[^a-z0-9.]+", "-", last.lower()).strip("-.") or "run"
    names = (base, *(f"{base}-{number}" for number in range(2, 1000)))
    return next((name for name in names if not (state.here / name).exists()), base)


def sample_lines(report: StepReport) -> list[Line]:
    """The first questions of the seeds, as lines of the report."""
    samples = report.samples if isinstance(report, SeedsReport) else ()
    if not samples:
        return []
    return [Line("The first questions:", "dim"), *(Line(f"  {text}") for text in samples)]


def _family_first(models: tuple[str, ...], elders: tuple[str, ...]) -> list[str]:
    """The server's models, with larger members of the target's family first."""
    family = {bare_name(name) for name in elders}
    return sorted(models, key=lambda name: bare_name(name) not in family)
