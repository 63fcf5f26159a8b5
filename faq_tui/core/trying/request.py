"""One prompt, how its answers are sampled, and the models that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.evaluation.identity import UNQUANTIZED, wanted_artefacts
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.run.run import Run

MOST_MODELS = 8  # maximum number of models that answer one prompt
LONGEST_PROMPT = 100_000  # maximum length of a prompt in characters
HOTTEST = 2.0  # highest sampling temperature
TOKENS = 256  # default of the maximum length of an answer in tokens
FIRST_ARTEFACTS = 2  # without a choice, the unquantized model and this number of artefacts answer


@dataclass(frozen=True)
class TryRequest:
    """A prompt and its sampling.

    If `temperature` is 0, the model always takes the likeliest token. `seed` is the seed of the random draws.
    """

    prompt: str
    max_tokens: int = TOKENS
    temperature: float = 0.0
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError if a value cannot be used."""
        if not self.prompt.strip():
            raise UsageError("the prompt is empty: write a question")
        if len(self.prompt) > LONGEST_PROMPT:
            raise UsageError(
                f"the prompt has {len(self.prompt):,} characters; at most {LONGEST_PROMPT:,} are allowed"
            )
        if self.max_tokens < 1:
            raise UsageError(f"the maximum length of an answer is {self.max_tokens} tokens: allow at least 1")
        if not 0 <= self.temperature <= HOTTEST:
            raise UsageError(f"the temperature {self.temperature:g} is not between 0 and {HOTTEST:g}")

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.prompt}]

    @property
    def sampling(self) -> dict[str, Any]:
        """The arguments of `next_tokens` in core/regenerating/local_task.py. Only the temperature
        is taken from the request; the others are constant."""
        return {"temperature": self.temperature, "top_k": -1, "top_p": 1.0, "min_p": 0.0}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TriedModel:
    """A model that can be tried. `folder` is None for the unquantized target, which may have to be downloaded."""

    name: str  # `unquantized`, or the name of an artefact
    folder: Path | None

    def check(self) -> None:
        """Raise FaqError if the folder of an artefact is not complete."""
        if self.folder is not None and not is_whole(self.folder):
            raise FaqError(f"{self.name} has no complete folder {self.folder}: quantize it again")


def models_of(run: Run) -> list[TriedModel]:
    """The unquantized target and the artefacts of the settings that are on the disk, in the order of the settings."""
    found = [
        TriedModel(artefact.name, run.models / artefact.folder)
        for artefact in wanted_artefacts(run)
        if is_whole(run.models / artefact.folder)
    ]
    return [TriedModel(UNQUANTIZED, None), *found]


def chosen_models(run: Run, names: Sequence[str]) -> list[TriedModel]:
    """The unquantized target, followed by the artefacts with these names.

    Without names, the result has the unquantized target and the first artefacts. Raises UsageError if there is no
    model with one of the names, and FaqError if the folder of an artefact is not complete.
    """
    known = {model.name: model for model in models_of(run)}
    if not names:
        return list(known.values())[: 1 + FIRST_ARTEFACTS]
    known = {
        artefact.name: TriedModel(artefact.name, run.models / artefact.folder) for artefact in wanted_artefacts(run)
    }
    wanted = [name for name in dict.fromkeys(names) if name != UNQUANTIZED]
    for name in wanted:
        if name not in known:
            others = ", ".join(known) or "none yet"
            raise UsageError(f"this run has no artefact {name!r}: its artefacts are {others}")
        known[name].check()
    if len(wanted) + 1 > MOST_MODELS:
        raise UsageError(f"at most {MOST_MODELS} models can answer one prompt, including the unquantized model")
    return [TriedModel(UNQUANTIZED, None), *(known[name] for name in wanted)]
