"""The whole comparison of two runs, as data and as lines of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import counted
from faq_tui.core.report.document import json_value
from faq_tui.core.report.forest import ForestPanel, lines_of
from faq_tui.core.run.run import open_run
from faq_tui.core.run_comparison.evidence import LETTERS, common_panels, measured_evidence, reasons
from faq_tui.core.run_comparison.picks import PickComparison, compare_picks
from faq_tui.core.run_comparison.settings import SettingDifference, setting_differences

SCHEMA = 1  # the version of the JSON
LEAST = 60  # the forest plot has at least this width


@dataclass(frozen=True)
class RunSide:
    """One of the two runs."""

    folder: Path
    target: str
    answer: str  # the answer of the run's report in one sentence, or the reason why there is no report
    not_compared: tuple[str, ...] = ()  # sentences about sets of unequal sizes, which are not compared


@dataclass(frozen=True)
class RunComparison:
    """Everything that is known about two runs. `one` is run A, and `other` is run B."""

    one: RunSide
    other: RunSide
    settings: tuple[SettingDifference, ...]
    not_comparable: tuple[str, ...]  # sentences; empty if all figures are comparable
    panels: tuple[ForestPanel, ...]
    picks: PickComparison

    @property
    def names(self) -> tuple[str, str]:
        """A short name for each run: one part of the path of its folder.

        The paths are compared from their ends, and the first part that differs is used.
        """
        ours, theirs = self.one.folder.resolve().parts, self.other.folder.resolve().parts
        for own, foreign in zip(reversed(ours), reversed(theirs), strict=False):
            if own != foreign:
                return own, foreign
        return str(self.one.folder), str(self.other.folder)

    def forest(self, width: int) -> list[tuple[str, str]]:
        """The picture of the evidence as pairs (line, verdict).

        The verdict gives the colour of a line with a bar; it is "" for every other line.
        """
        return [(str(line), line.verdict) for line in lines_of(self.panels, max(LEAST, width))]

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain data."""
        rows = [
            {
                "metric": panel.metric,
                "run": row.what[0],
                "equal": row.equal,
                "what": row.what[2:],
                **{key: row.outcome[key] for key in ("ours", "baseline", "difference", "p_adjusted", "verdict")},
            }
            for panel in self.panels
            for row in panel.rows
        ]
        sides = zip(LETTERS, (self.one, self.other), strict=True)
        body: dict[str, Any] = json_value(
            {
                "schema": SCHEMA,
                "runs": {name: {**asdict(side), "folder": str(side.folder)} for name, side in sides},
                "settings": [{"key": d.key, "A": d.one, "B": d.other} for d in self.settings],
                "not_comparable": list(self.not_comparable),
                "evidence": rows,
                "picks": {
                    "shared_seeds": self.picks.shared,
                    "seeds_only_in": {"A": self.picks.only_one, "B": self.picks.only_other},
                    "same": self.picks.same,
                    "differing": [
                        {
                            "seed_id": d.seed_id,
                            "question": d.question,
                            "source": {"A": d.sources[0], "B": d.sources[1]},
                            "A": {"candidate": d.one.number, "picked_by": d.one.picked_by},
                            "B": {"candidate": d.other.number, "picked_by": d.other.picked_by},
                        }
                        for d in self.picks.differing
                    ],
                    "sources_of_one_run": list(self.picks.unpaired),
                },
            }
        )
        return body


def compare_runs(one: Path, other: Path) -> RunComparison:
    """Compare the runs in two folders. Nothing is changed. Raises UsageError if both folders are the same run."""
    if one.resolve() == other.resolve():
        raise UsageError(f"{one} and {other} are the same run: name two runs")
    with open_run(one, read_only=True) as ours, open_run(other, read_only=True) as theirs:
        targets = ours.settings.target.model, theirs.settings.target.model
        mine, others = measured_evidence(ours), measured_evidence(theirs)
        differences = setting_differences(ours.settings, theirs.settings)
        if mine.target == others.target:  # two names of the same model make no difference
            differences = tuple(one for one in differences if one.key != "target.model")
        return RunComparison(
            RunSide(one, targets[0], mine.answer, mine.not_compared),
            RunSide(other, targets[1], others.answer, others.not_compared),
            differences,
            reasons(targets, mine, others),
            common_panels((mine.body, others.body)),
            compare_picks(ours, theirs),
        )


def pick_sentences(picks: PickComparison) -> list[str]:
    """Say how many seeds both runs regenerate, how many picks differ, and which sources are in only one run."""
    found = [counted(picks.shared, "seed is", "seeds are") + " regenerated in both runs."]
    for letter, count in zip(LETTERS, (picks.only_one, picks.only_other), strict=True):
        if count:
            found.append(f"{counted(count, 'seed is', 'seeds are')} regenerated only in run {letter}.")
    if picks.same or picks.differing:
        total = picks.same + len(picks.differing)
        found.append(f"The runs use different answers for {len(picks.differing):,} of {counted(total, 'pick')}.")
    elif picks.shared:
        found.append("Neither run has picks for the seeds that both runs regenerate.")
    if picks.unpaired:
        found.append(f"These sources are in only one of the runs: {', '.join(picks.unpaired)}.")
    return found
