"""The base class of judges. A judge scores candidates, lists everything that affects its scores, and describes the
scores in words.

The registry `faq_tui.core.extensions.JUDGES` finds a judge by its name, which is the value of `kind` in `[judge]` of
`faq.toml`. Other modules call only the methods of this class; their code does not depend on the name of a judge.
"""

# ruff: noqa: ARG002  default methods ignore arguments that only some judges use

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

    score: float | None  # None if the candidate could not be scored; such a candidate is never picked
    reason: str  # the explanation that a person sees beside the score
    raw: str = ""  # the judge's whole reply
    details: dict[str, Any] = field(default_factory=dict)  # the parts of the score, as values that JSON can hold


Item = tuple[Seed, Candidate]
OnScore = Callable[[Candidate, Score], None]


class Judge(Extension, ABC):
    """One kind of judge. A subclass sets the attributes without a default and implements `score_all`."""

    measures: str  # the meaning of the score, such as "how probable the target itself finds an answer"
    short: str  # heading of the judge's scores in the judge pane, three or four letters
    version: str = "1"  # Change the version if a code change gives the same candidate another score.
    keys: tuple[str, ...] = ()  # the optional keys of `[judge]` that this judge reads
    required: tuple[str, ...] = ()  # the `keys` that the user must set
    shaping: tuple[str, ...] = ()  # the `keys` whose values affect a score
    needs_target: bool = False  # True if the scores depend on the target's weights
    length_matters: bool = False  # True if length affects the score; `judge.length_control` removes this effect
    explains: bool = False  # True if the judge itself wrote the reason for a score
    replaces: bool = False  # True if a new score of the same candidate replaces the old score
    close: float = 0.0  # two scores count as close if they differ by at most this much

    def __init__(self) -> None:
        for word in WORDS:
            if not getattr(self, word, ""):
                raise TypeError(f"the judge {type(self).__name__} has no {word}")

    def check(self, settings: JudgeSettings) -> None:
        """Raise ValueError with one sentence if `[judge]` lacks a key that this judge needs."""
        if not all(getattr(settings, key) for key in self.required):
            keys = " and ".join(f"`{key}`" for key in self.required)
            raise ValueError(f'kind "{self.name}" needs the key{"s" * (len(self.required) > 1)} {keys}')

    def check_here(self, run: Run) -> str:
        """A text that `faq-tui doctor` shows about this judge on this machine; "" if there is nothing to show.

        Raises FaqError with one sentence if the judge cannot work on this machine. This method does not check the
        judge's server; `faq-tui doctor` checks the server separately.
        """
        return ""

    def server(self, settings: JudgeSettings) -> Endpoint | None:
        """The server that this judge needs; None if the judge needs no server."""
        return None

    def column_id(self, run: Run) -> str:
        """A hash of all inputs that affect a score, except the candidate.

        Scores are stored under this hash. Stored scores are reused until the hash changes.
        """
        settings = {key: getattr(run.settings.judge, key) for key in self.shaping}
        return digest("judge", self.name, self.version, settings, fingerprint(run) if self.needs_target else "")

    def pending(
        self,
        settings: JudgeSettings,
        candidates: Sequence[CandidateOutline],
        scores: Mapping[int, float | None],
        details: Callable[[], Mapping[int, Mapping[str, Any]]],
    ) -> list[CandidateOutline]:
        """The usable candidates that this judge still has to score.

        `scores` holds this judge's stored scores by candidate id; `details` reads the stored details of scores.
        """
        return [candidate for candidate in candidates if candidate.id not in scores]

    @abstractmethod
    def score_all(self, context: Context, items: Sequence[Item], on_score: OnScore) -> None:
        """Score every candidate. As soon as a score is known, pass it to `on_score`, which stores it.

        An implementation calls `context.cancel.check()` between candidates. Raises FaqError if the judge failed on
        some candidates.
        """

    def facts(self, run: Run, candidates: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Further facts about this judge for `status --json` and the report. The possible keys are `mode`, `replies`,
        `orders` and `probe`; none of them is required.

        `candidates` holds groups of ids of usable candidates, one group per seed and source.
        """
        return {}

    def sentences(self, judging: Mapping[str, Any]) -> list[str]:
        """Phrases that say in the stage's summary how reliable the scores are.

        `judging` is the result of `judging_of`.
        """
        return []

    def report_lines(self, judging: Mapping[str, Any]) -> list[str]:
        """Further lines for the report, as plain text."""
        return []

    def in_report(self, judge: Mapping[str, Any]) -> str:
        """The name of this judge in the report.

        `judge` holds kind, model and url from the settings, as in report.json.
        """
        return f"{self.name} ({self.measures})"

    def number(self, score: float) -> str:
        """The score in a few digits, for display next to other judges' scores."""
        return f"{score:.2f}"

    def in_words(self, score: float) -> str:
        """The score as a phrase."""
        return f"{score:.3f}"

    def parts(self, details: Mapping[str, Any]) -> str:
        """A phrase about the parts of a score, from its details; "" if the score has no parts."""
        return ""

    def controlled(self, score: float, details: Mapping[str, Any]) -> str:
        """The reason that is shown beside a length-controlled score."""
        return f"{self.in_words(score)} after length control"
