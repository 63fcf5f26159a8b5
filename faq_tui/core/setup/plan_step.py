"""Step 5: the plan of the run, one line for each stage, and the time of the long stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import counted, duration
from faq_tui.core.doctor import most_answer_tokens, quantization_time
from faq_tui.core.run.run import Run
from faq_tui.core.settings.source import LOCAL
from faq_tui.core.setup.draft import Draft, checked_folder, draft_run
from faq_tui.core.setup.step_report import Line, StepReport


@dataclass(frozen=True)
class PlanReport(StepReport):
    folder: Path = Path()  # the folder of the new run, as an absolute path


def look_at_plan(draft: Draft, name: str, here: Path) -> PlanReport:
    """The plan of the run, which will be in the folder `name`. A relative `name` is a path from the folder `here`."""
    try:
        folder = checked_folder(name, here)
        with draft_run(draft) as run:
            plan = [*_stages(run, draft.short), *_time(run, draft.rate)]
            lines = tuple(Line(f"{stage:<11} {text}") for stage, text in plan)
    except FaqError as error:
        return PlanReport(problem=str(error))
    return PlanReport(lines, folder=folder)


def _stages(run: Run, short: bool) -> Iterator[tuple[str, str]]:
    """Yield the name of each stage, and a phrase that says what the stage will do.

    `short` is True if the run makes and measures less than by default, because this machine has no GPU.
    """
    settings = run.settings
    sources = list(settings.sources.items())
    yield "seeds", f"read the questions; regenerate {settings.seeds.count} and hold out {settings.seeds.heldout}"
    for _, source in sources:
        where = "on this machine" if source.base_url in (LOCAL, "embedded") else f"at {source.shown_url}"
        yield "regenerate", f"{counted(source.candidates, 'answer')} per question from {source.model} {where}"
    if not sources:
        yield "regenerate", "nothing, because no model regenerates answers"
    yield "judge", "keep the answer that the target finds most likely" if sources else "nothing"
    recipes = settings.recipes
    names = list(dict.fromkeys(name for recipe in recipes for name in settings.sets_of(recipe)))
    yield "assemble", f"calibration sets: {', '.join(names)}"
    yield "activations", "measure spikes in the model's activations under each set"
    count = sum(len(settings.sets_of(recipe)) for recipe in recipes)
    models = f"{count} model{'' if count == 1 else 's'}"
    methods = ", ".join(f"{recipe.method} with {recipe.bits} bits" for recipe in recipes)
    yield "quantize", f"{models}: {methods}, once for each set"
    yield "evaluate", f"compare each quantized model with the original{_shortened(run) if short else ''}"
    yield "report", "say whether the regenerated answers helped"


def _shortened(run: Run) -> str:
    size = run.settings.evaluate
    return (
        f" on at most {size.prose_tokens:,} tokens of prose and {size.answer_tokens:,} tokens of each answer: few, "
        "because this machine has no GPU; faq.toml says how to measure more"
    )


def _time(run: Run, rate: float | None) -> Iterator[tuple[str, str]]:
    """Yield one line with the times that can be estimated; nothing if no time can be estimated.

    `rate` is the server's number of tokens per second for one request.
    """
    parts = []
    if rate:
        sizes = [most_answer_tokens(run, name) for name in run.settings.sources]
        if sizes:
            answers, tokens = (sum(numbers) for numbers in zip(*sizes, strict=True))
            each = f"{counted(answers, 'answer')} of at most {tokens / answers:,.0f} tokens, one after another"
            parts.append(f"regenerate at most about {_duration(tokens / rate)} ({each}; less with several at a time)")
    quantize = quantization_time(run)
    if quantize is not None:
        seconds, at_most = quantize
        each = "all models, one after another; less with several at a time"
        parts.append(f"quantize {'at most about' if at_most else 'about'} {_duration(seconds)} ({each})")
    if parts:
        yield "time", f"{'; '.join(parts)}; judge, activations and evaluate take further time"


def _duration(seconds: float) -> str:
    return duration(max(1.0, seconds))
