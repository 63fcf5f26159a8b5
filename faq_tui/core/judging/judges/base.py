"""What a judge is: how it scores candidates, what its scores depend on, and how they are put in words.

The judges are found by name through the registry `faq_tui.core.extensions.JUDGES`; its name is the word in
`[judge]` of `faq.toml`. No other module tests for the name of a judge: settings, stage, status, doctor, report and
pane ask the object.
"""

# ruff: noqa: ARG002  a default ignores what only some judges use

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from faq_tui.core.base.hashing import digest
from faq_tui.core.extensions import Extension
from faq_tui.core.models.target import fingerprint
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import Run
from faq_tui.core.settings import JudgeSettings
from faq_tui.core.settings.source import Endpoint
from faq_tui.core.store.candidates import Candidate, CandidateOutline
from faq_tui.core.store.seeds import Seed

WORDS = ("name", "title", "help", "measures", "short")


@dataclass(frozen=True)
class Score:
    """One judge's score of one candidate; higher is better."""

    score: float | None  # None: the candidate could not be scored. It then never wins
    reason: str  # shown to a person beside the score
    raw: str = ""  # the judge's whole reply
    details: dict[str, Any] = field(default_factory=dict)  # JSON-able: what the score is made of


Item = tuple[Seed, Candidate]
OnScore = Callable[[Candidate, Score], None]


class Judge(Extension, ABC):
    """One kind of judge. A subclass sets the words below and writes `score_all`; the rest has defaults."""

    measures: str  # what the score tells, in a few words, as in "how probable the target itself finds an answer"
    short: str  # heading of its scores in the judge pane, three or four letters
    version: str = "1"  # raise it when the same candidate would get another score than before
    keys: tuple[str, ...] = ()  # keys of `[judge]` that only some judges read, and this one does
    required: tuple[str, ...] = ()  # those of the keys that must be set
    shaping: tuple[str, ...] = ()  # those of the keys that change a score
    needs_target: bool = False  # the target's weights take part in the scores
    length_matters: bool = False  # length alone moves the score: `judge.length_control` removes that effect
    explains: bool = False  # a score's reason is the judge's own explanation
    replaces: bool = False  # a new score of the same candidate replaces the old one
    close: float = 0.0  # a smaller difference between two scores means little

    def __init__(self) -> None:
        for word in WORDS:
            if not getattr(self, word, ""):
                raise TypeError(f"the judge {type(self).__name__} has no {word}")

    def check(self, settings: JudgeSettings) -> None:
        """Raise ValueError with one sentence where `[judge]` lacks what this judge needs."""
        if not all(getattr(settings, key) for key in self.required):
            raise ValueError(f'kind "{self.name}" needs {" and ".join(self.required)}')

    def check_here(self, run: Run) -> str:
        """What doctor reports of this judge on this machine; "" if there is nothing to report.

        Raises FaqError, one sentence, where the judge cannot work here. Doctor asks `server` by itself.
        """
        return ""

    def server(self, settings: JudgeSettings) -> Endpoint | None:
        """The server that this judge asks; None if it needs none."""
        return None

    def column_id(self, run: Run) -> str:
        """A hash of all that changes a score besides the candidate. Scores are kept under it and never made twice."""
        settings = {key: getattr(run.settings.judge, key) for key in self.shaping}
        return digest("judge", self.name, self.version, settings, fingerprint(run) if self.needs_target else "")

    def pending(
        self,
        settings: JudgeSettings,
        candidates: Sequence[CandidateOutline],
        scores: Mapping[int, float | None],
        details: Callable[[], Mapping[int, Mapping[str, Any]]],
    ) -> list[CandidateOutline]:
        """Which of the usable candidates to score.

        `scores` holds this judge's stored scores by candidate id, `details` reads what they are made of.
        """
        return [candidate for candidate in candidates if candidate.id not in scores]

    @abstractmethod
    def score_all(self, context: Context, items: Sequence[Item], on_score: OnScore) -> None:
        """Score every candidate and hand each score to `on_score` at once, which stores it.

        Call `context.cancel.check()` between candidates. Raises FaqError if some candidates got no score.
        """

    def facts(self, run: Run, candidates: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Further facts for `status --json` and the report: any of `mode`, `replies`, `orders` and `probe`.

        `candidates`: ids of the usable candidates of one seed and source each.
        """
        return {}

    def sentences(self, judging: Mapping[str, Any]) -> list[str]:
        """How far its scores can be trusted, for the stage's summary. `judging`: what `judging_of` returns."""
        return []

    def report_lines(self, judging: Mapping[str, Any]) -> list[str]:
        """Further lines for the report, in plain text."""
        return []

    def in_report(self, judge: Mapping[str, Any]) -> str:
        """How the report names this judge. `judge`: kind, model and url of the settings, as in report.json."""
        return f"{self.name} ({self.measures})"

    def number(self, score: float) -> str:
        """The score beside the scores of other judges: a few digits."""
        return f"{score:.2f}"

    def in_words(self, score: float) -> str:
        """The score where it stands alone."""
        return f"{score:.3f}"

    def parts(self, details: Mapping[str, Any]) -> str:
        """What a score is made of, in words, from its details; "" if it has no parts."""
        return ""

    def controlled(self, score: float, details: Mapping[str, Any]) -> str:
        """The reason that is shown with a score from which the effect of length is removed."""
        return f"{self.in_words(score)}, less the effect of length"
