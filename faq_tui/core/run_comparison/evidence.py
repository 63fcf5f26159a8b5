"""The evidence of two runs in one picture, and the reasons why its figures may not be comparable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import UNQUANTIZED, unquantized_hash
from faq_tui.core.models.target import content_fingerprint, fingerprint
from faq_tui.core.report.document import document
from faq_tui.core.report.forest import EQUALS, ForestPanel, ForestRow, panels
from faq_tui.core.report.headline import one_sentence
from faq_tui.core.report.unequal_sets import not_compared
from faq_tui.core.run.run import Run
from faq_tui.core.store import measurements

LETTERS = ("A", "B")


@dataclass(frozen=True)
class MeasuredEvidence:
    """The evidence of one run.

    `body` is the report as data. If there is no report, `body` is None. `target` is a hash of the target's files, or
    of its name if the files are not found. So two names of the same files have the same hash.
    """

    body: dict[str, Any] | None
    answer: str  # the answer of the report in one sentence, or the reason why there is no report
    conditions: dict[
        str, tuple[str, str, str]
    ]  # maps each measured text to (hash of the target, hash of the text, dtype.device)
    target: str = ""

    @property
    def not_compared(self) -> tuple[str, ...]:
        """Sentences about sets of unequal sizes, which are not compared."""
        return tuple(not_compared(self.body or {}))


def measured_evidence(run: Run) -> MeasuredEvidence:
    target, known = _targets(run)
    conditions = {}
    for text, signature in measurements.signatures_of(run.store, UNQUANTIZED).items():
        measured, items, where = (*signature.split(".", 2), "", "")[:3]
        conditions[text] = target if measured == known else measured, items, where
    try:
        body = document(run)
    except UsageError:
        return MeasuredEvidence(None, "Nothing is measured yet", conditions, target)
    except (FaqError, OSError) as error:
        return MeasuredEvidence(None, f"The evidence cannot be read: {error}", conditions, target)
    return MeasuredEvidence(body, one_sentence(body), conditions, target)


def _targets(run: Run) -> tuple[str, str]:
    """Return two hashes: of the target's files, and of the target as new measurements are signed."""
    try:
        return content_fingerprint(run), unquantized_hash(fingerprint(run))
    except (FaqError, OSError):  # the files of the target were moved or deleted
        return digest("target", run.settings.target.model), ""


def common_panels(bodies: Sequence[dict[str, Any] | None]) -> tuple[ForestPanel, ...]:
    """One panel for each metric, with the rows of both runs. A row of run A begins with the letter A, a row of run B
    with the letter B.

    Therefore both runs share one scale. Rows about the same comparison are neighbours.
    """
    found: dict[str, list[ForestRow]] = defaultdict(list)
    order: dict[tuple[str, str, str], None] = {}
    for letter, body in zip(LETTERS, bodies, strict=True):
        for panel in panels(body) if body else []:
            for row in panel.rows:
                order.setdefault((panel.metric, row.equal, row.what))
                found[panel.metric].append(replace(row, what=f"{letter} {row.what}"))
    places = {key: place for place, key in enumerate(order)}

    def place(metric: str, row: ForestRow) -> tuple[int, int, str]:
        return EQUALS.index(row.equal), places[metric, row.equal, row.what[2:]], row.what

    return tuple(
        ForestPanel(metric, tuple(sorted(rows, key=lambda row, metric=metric: place(metric, row))))  # type: ignore[misc]
        for metric, rows in found.items()
    )


def reasons(targets: tuple[str, str], one: MeasuredEvidence, other: MeasuredEvidence) -> tuple[str, ...]:
    """Sentences that say why figures of the two runs are not comparable. `targets` are the targets' names."""
    shared = [text for text in one.conditions if text in other.conditions]
    different = [text for text in shared if one.conditions[text][0] != other.conditions[text][0]]
    found = []
    if different or (not shared and one.target != other.target):
        names = f"{targets[0]} and {targets[1]}" if targets[0] != targets[1] else f"two versions of {targets[0]}"
        found.append(f"The runs have different targets ({names}), so their figures are not comparable.")
    if one.body is None or other.body is None:
        return tuple(found)
    if not shared:
        found.append("No held-out text is measured in both runs, so their figures are not comparable.")
    if changed := [text for text in shared if one.conditions[text][1] != other.conditions[text][1]]:
        found.append(f"The held-out texts differ, so figures on them are not comparable: {', '.join(changed)}.")
    if not different and (
        moved := [
            text for text in shared if text not in changed and one.conditions[text][2] != other.conditions[text][2]
        ]
    ):
        ours, theirs = (run.conditions[moved[0]][2].replace(".", " on ") for run in (one, other))
        found.append(f"The runs were measured in {ours} and in {theirs}, so small differences may come from this.")
    return tuple(found)
