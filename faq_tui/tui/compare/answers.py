"""The answers that two runs use for one question, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.run.run import open_run
from faq_tui.core.run_comparison import Differing, PickedAnswer, both_answers
from faq_tui.tui.widgets.flow import FlowView, Part
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.text import LiteralText

KEYS = "n next  p previous  z reasoning  ↓ ↑ scroll  esc back"
LETTERS = ("A", "B")


class AnswersScreen(ModalScreen[None]):
    """Shows one question and both answers. `n` and `p` go to the next and the previous question of the list."""

    DEFAULT_CSS = (Path(__file__).parents[1] / "compare.tcss").read_text(encoding="utf-8")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,h,left", "close", "Back"),
        Binding("n,right,l", "go(1)", "Next"),
        Binding("p", "go(-1)", "Previous"),
        Binding("z", "fold", "Reasoning"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,ctrl+d,space", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
    ]

    def __init__(
        self, folders: tuple[Path, Path], differing: tuple[Differing, ...], index: int, moved: Callable[[int], None]
    ) -> None:
        """`moved` is called with the index of the question that is shown, so that the list can follow."""
        super().__init__()
        self._folders, self._differing, self._index, self._moved = folders, differing, index, moved
        self._folded = True
        self._found: tuple[str, PickedAnswer, PickedAnswer] | None = None

    def compose(self) -> ComposeResult:
        yield LiteralText(id="compare-header")
        yield LiteralText(id="compare-question")
        with Horizontal(id="compare-answers"):
            for letter in LETTERS:
                with Vertical(classes="side"):
                    yield LiteralText(id=f"compare-title-{letter}", classes="title")
                    yield FlowView(id=f"compare-answer-{letter}")
        yield LiteralText(KEYS, id="compare-footer")

    def on_mount(self) -> None:
        self._read()

    def _read(self) -> None:
        """Read the texts of the present question and show them. If a run cannot be read any more, say why."""
        one, other = self._folders
        try:
            with open_run(one, read_only=True) as ours, open_run(other, read_only=True) as theirs:
                self._found = both_answers(ours, theirs, self._differing[self._index])
        except (FaqError, OSError) as error:
            self.notify(sanitize(str(error)), severity="error", markup=False)
        self._show()

    def _show(self) -> None:
        if self._found is None:
            return
        question, *answers = self._found
        entry = self._differing[self._index]
        place = f"question {self._index + 1:,} of {len(self._differing):,} with different answers"
        self.query_one("#compare-header", LiteralText).show(f"{place}  {sanitize(entry.seed_id)}")
        self.query_one("#compare-question", LiteralText).show(sanitize(question, LIMIT, newlines=True))
        for letter, source, answer in zip(LETTERS, entry.sources, answers, strict=True):
            title = f"{letter}  {sanitize(source)}: pick {answer.words}"
            self.query_one(f"#compare-title-{letter}", LiteralText).show(title)
            self.query_one(f"#compare-answer-{letter}", FlowView).show(self._parts(answer))

    def _parts(self, answer: PickedAnswer) -> list[Part | None]:
        if answer.number is None:
            return [("This run uses no answer for this question.", "dim")]
        parts: list[Part | None] = []
        reasoning, text = answer.reasoning.strip(), answer.answer.strip()
        if reasoning:
            fold = "folded: press z to unfold it" if self._folded else "press z to fold it"
            parts.append((f"reasoning, {len(reasoning):,} characters, {fold}", "italic"))
            if not self._folded:
                parts.append((f"\n{reasoning[:LIMIT]}{rest(reasoning)}", "dim"))
            parts.append(None)
        return [*parts, (text[:LIMIT] + rest(text), "") if text else ("no answer", "dim")]

    def action_go(self, by: int) -> None:
        index = max(0, min(self._index + by, len(self._differing) - 1))
        if index != self._index:
            self._index = index
            self._moved(index)
            self._read()

    def action_fold(self) -> None:
        self._folded = not self._folded
        self._show()

    def action_scroll(self, lines: int) -> None:
        for view in self.query(FlowView):
            view.scroll_by(lines)

    def action_page(self, pages: int) -> None:
        for view in self.query(FlowView):
            view.scroll_by(pages * view.page)

    def action_close(self) -> None:
        self.dismiss()
