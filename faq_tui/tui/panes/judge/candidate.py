"""One candidate in a box: its scores, the judge's reasons and its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Click
from textual.message import Message

from faq_tui.core.extensions import JUDGES
from faq_tui.core.settings import MIX
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.picks import ScoreRow
from faq_tui.tui.panes.judge.case import Case, flags_in_words
from faq_tui.tui.widgets.flow import FlowView, Part
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.text import LiteralText

# A limit in characters. Reasoning above the limit is folded at first. A judge's explanation above the limit is shown
# below the answer.
LONG = 400
LONG_IF_LOW = 40  # the limit in characters above which reasoning is folded at first in a box with few lines
LABEL_STYLE = "bold cyan"


def columns_in_words(columns: Sequence[ScoreRow]) -> str:
    """The score of each judge, such as `llm 8.5 · lik -1.02 · act 0.30`."""
    return " · ".join(f"{JUDGES.get(row.kind).short} {_number(row)}" for row in columns)


def score_in_words(row: ScoreRow | None) -> str:
    """The score in the judge's format, such as `8 of 10`."""
    if row is None:
        return "no score"
    if row.score is None:
        return "unscored"
    return str(JUDGES.get(row.kind).in_words(row.score)) if row.kind in JUDGES else f"{row.score:.3f}"


def reason_of(row: ScoreRow | None, columns: Sequence[ScoreRow]) -> str:
    """The first explanation that a judge wrote.

    `row` is the score by which the judge picks. If no judge wrote an explanation, return the reason in `row`.
    """
    explained = next((c.reason for c in columns if c.reason and JUDGES.get(c.kind).explains), "")
    return explained or (row.reason if row is not None else "")


def parts_of_scores(row: ScoreRow | None, columns: Sequence[ScoreRow]) -> list[str]:
    """Lines for the scores that consist of parts. Each line lists the parts of one score."""
    lines = [row.reason] if row is not None and row.kind == MIX and row.reason else []
    for column in columns or ((row,) if row is not None else ()):
        line = str(JUDGES.get(column.kind).parts(column.details)) if column.kind in JUDGES else ""
        if line:
            lines.append(line)
    return lines


def _number(row: ScoreRow) -> str:
    return "unscored" if row.score is None else str(JUDGES.get(row.kind).number(row.score))


class CandidateBox(Vertical):
    """One candidate.

    The box is empty until `show` is called. `show` draws only changes, so the scroll position stays.
    """

    @dataclass
    class CandidateChosen(Message):
        number: int

    def __init__(self) -> None:
        super().__init__(classes="candidate")
        self._drawn: object = None
        self.number = 0
        self.folded = False

    def compose(self) -> ComposeResult:
        yield LiteralText(classes="title")
        yield FlowView()

    @property
    def text(self) -> FlowView:
        return self.query_one(FlowView)

    def on_click(self, _: Click) -> None:
        self.post_message(self.CandidateChosen(self.number))

    def show(self, case: Case, candidate: Candidate, blind: bool, folded: bool | None, low: bool = False) -> None:
        """Show a candidate. `folded` sets whether the reasoning is folded; None folds long reasoning.

        If `low` is true, the box has only a few lines, so the answer comes before the details of the scores.
        """
        self.number = candidate.number
        self.query_one(".title", LiteralText).show(title(case, candidate, blind))
        self.folded = is_folded(candidate, folded, LONG_IF_LOW if low else LONG)
        parts = parts_of(case, candidate, blind, self.folded, low)
        if parts != self._drawn:
            self._drawn = parts
            self.text.show(parts)


class CandidateTabs(LiteralText):
    """The tabs of the candidates, which are shown if the boxes do not all fit. A click selects a candidate."""

    _places: tuple[tuple[range, int], ...] = ()  # the cells of each tab, and the number of its candidate

    def show_tabs(self, case: Case, blind: bool, chosen: int) -> None:
        """`chosen` is the index of the selected candidate."""
        line, places = Text(" "), []
        for index, candidate in enumerate(case.candidates):
            start = line.cell_len
            line.append(chip(case, candidate, blind, index == chosen))
            places.append((range(start, line.cell_len), candidate.number))
            line.append("   ")
        self._places = tuple(places)
        self.show(line)

    def on_click(self, event: Click) -> None:
        cell = event.get_content_offset(self)
        number = next((n for cells, n in self._places if cell is not None and cell.y == 0 and cell.x in cells), None)
        if number is not None:
            self.post_message(CandidateBox.CandidateChosen(number))


def title(case: Case, candidate: Candidate, blind: bool, whole: bool = True) -> Text:
    """The title of the box, such as `2  8 of 10  picked by judge`. `whole` has the same meaning as in `score`."""
    line = Text.assemble((f" {candidate.number} ", "bold reverse"), no_wrap=True, overflow="ellipsis")
    for words, style in (score(case, candidate, blind, whole), picked(case, candidate, blind)):
        if words:
            line.append("  ").append(words, style)
    return line


def chip(case: Case, candidate: Candidate, blind: bool, chosen: bool) -> Text:
    """The candidate's tab. The tabs are shown if the boxes do not all fit on the screen."""
    line = Text(f" {candidate.number} ", "bold reverse" if chosen else "bold")
    for words, style in (score(case, candidate, blind, whole=chosen), picked(case, candidate, blind)):
        if words:
            line.append(" ").append(words, style)
    return line


def score(case: Case, candidate: Candidate, blind: bool, whole: bool = True) -> tuple[str, str]:
    """The scores of all judges as (words, style). If `whole` is false, return only the score of the first judge."""
    if candidate.flags:
        return "unusable", "bold red"
    if blind:
        return "", ""
    columns = case.columns.get(candidate.id)
    if columns:
        return columns_in_words(columns if whole else columns[:1]), ""
    return score_in_words(case.scores.get(candidate.id)), ""


def picked(case: Case, candidate: Candidate, blind: bool) -> tuple[str, str]:
    """Who picked this candidate, as (words, style). The words are bold if the set uses this pick."""
    standing = case.standing
    by = ["person"] if standing.override is not None and standing.override.candidate_id == candidate.id else []
    if not blind and standing.judge_pick == candidate.id:
        by.append("judge")
    counts = "person" in by or standing.override is None
    return (f"picked by {', '.join(by)}", "bold green" if counts else "dim") if by else ("", "")


def is_folded(candidate: Candidate, folded: bool | None, long: int = LONG) -> bool:
    return len(candidate.reasoning) > long if folded is None else folded


def parts_of(case: Case, candidate: Candidate, blind: bool, folded: bool, low: bool = False) -> list[Part | None]:
    """The texts of the box. If `low` is true, the explanation and the parts of the scores come last."""
    parts: list[Part | None] = []
    if candidate.flags:
        parts += [(flags_in_words(candidate.flags), "bold red"), None]
    row, columns = case.scores.get(candidate.id), case.columns.get(candidate.id, ())
    reason = "" if blind else reason_of(row, columns)
    explanation = (f"judge: {reason[:LIMIT]}{rest(reason)}", "italic")
    last = low or len(reason) > LONG  # show a long reason below the answer, so that the answer stays on the screen
    if reason and not last:
        parts += [explanation, None]
    about = [] if blind else parts_of_scores(row, columns)
    details: list[Part | None] = [("\n".join(about), "dim italic"), None] if about else []
    if not low:
        parts += details
    reasoning, answer = candidate.reasoning.strip(), candidate.answer.strip()
    if reasoning:
        head = f"{'▸' if folded else '▾'} reasoning, {len(reasoning):,} characters"
        parts.append((head + (", folded: press z to unfold it" if folded else ""), LABEL_STYLE))
        if not folded:
            parts.append((reasoning[:LIMIT] + rest(reasoning), "dim"))
        parts += [None, ("answer", LABEL_STYLE)]
    parts.append((answer[:LIMIT] + rest(answer), "") if answer else ("no answer", "dim"))
    if reason and last:
        parts += [None, explanation]
    if low and details:
        parts += [None, *details]
    return parts


def whole(candidate: Candidate) -> str:
    """Reasoning and answer in full, for the clipboard."""
    return "\n\n".join(part for part in (candidate.reasoning, candidate.answer) if part)
