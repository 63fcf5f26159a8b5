"""The Judge pane: a person reviews the judge's picks with one key per seed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from faq_tui.core import overrides
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import sanitize
from faq_tui.core.judging.picking import clear_picks, close_margin
from faq_tui.core.run.run import Run
from faq_tui.core.store.database import short_lock_timeout
from faq_tui.core.store.judged import last_override, same_batch
from faq_tui.core.store.picks import Pick
from faq_tui.tui.actions import bindings_of
from faq_tui.tui.panes.judge.accept import AcceptClear
from faq_tui.tui.panes.judge.browser import JudgeBrowser
from faq_tui.tui.panes.judge.spec import JUDGE, RULE
from faq_tui.tui.widgets.ask import Ask


class JudgePane(JudgeBrowser):
    """The pane Judge. Each override is stored as a new row with author and time. The judge's rows never change.

    After a decision, the pane goes to the next seed that is not reviewed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(JUDGE.actions)]
    DEFAULT_CSS = (Path(__file__).parent / "judge.tcss").read_text(encoding="utf-8")

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.goes_on = True  # True: after a decision, go to the next open seed

    def action_pick(self, number: int) -> None:
        self._pick(number)

    def action_accept(self) -> None:
        """Accept what the judge picked."""
        if self.case is None:
            return
        number = self.case.number(self.case.standing.judge_pick)
        if self.blind and self.case.standing.override is None:
            self._tell("the judge's pick is hidden: pick a candidate with its digit, or press b to show the scores")
        elif number is not None:
            self._pick(number)
        elif self.case.standing.judged:
            self._tell("the judge found no usable answer: pick a candidate with its digit, or reject the seed with 0")
        else:
            self._tell("this seed is not judged yet: pick a candidate with its digit")

    def action_go_on(self) -> None:
        self.goes_on = not self.goes_on
        self._tell(f"after a decision, the pane {'goes to the next open seed' if self.goes_on else 'stays'}")

    def action_pick_this(self) -> None:
        if self.chosen < len(self._candidates):
            self._pick(self._candidates[self.chosen].number)

    def _pick(self, number: int) -> None:
        self._override(number, None)

    def action_reject(self) -> None:
        self._override(0, None)

    def _override(self, number: int, reason: str | None, stay: bool = False) -> None:
        """Pick candidate `number`. The number 0 rejects all candidates.

        If `reason` is None, use the reason stored for this seed. If `stay` is true, the seed stays on the screen.
        """
        if self.case is None:
            self._tell(f"there is no seed to decide yet. {RULE}")
            return
        seed_id, source = self.case.standing.seed_id, self.view.source
        why = self.reasons.get(seed_id, "") if reason is None else reason
        try:
            with short_lock_timeout(self.run.store):
                if number:
                    overrides.pick(self.run, seed_id, source, number, why)
                else:
                    overrides.reject(self.run, seed_id, source, why)
        except FaqError as error:
            known = number in (0, *(candidate.number for candidate in self._candidates))
            text = str(error) if known else f"{error}. {RULE}"
            self.app.notify(sanitize(text), severity="error", markup=False)
            return
        self.reasons.pop(seed_id, None)
        numbers = {candidate.number: candidate.id for candidate in self._candidates}
        self.queue.decided(Pick(seed_id, source, numbers.get(number), "person", why))
        if not stay and self.goes_on:
            self._go_on()
        elif number in numbers:
            self.chosen = list(numbers).index(number)
        self._read_case()
        self._draw()

    def _go_on(self) -> None:
        """Go to the next open seed. After the last open seed, stay on this seed, and say that all seeds are
        reviewed."""
        if not self.queue.move_on():
            done, _ = self.queue.progress()
            more = "" if self.queue.filter == "all" else " that the filter shows"
            self._tell(f"all seeds{more} are reviewed; {done:,} decisions of a person are stored")

    def action_accept_clear(self) -> None:
        margin = close_margin(self.queue.kind)
        self.app.push_screen(AcceptClear(self.queue.shown, margin), self._accept_clear)

    def _accept_clear(self, margin: float | None) -> None:
        if margin is None:
            return
        picked = clear_picks(self.queue.shown, margin)
        if not picked:
            self._tell("no open seed has a pick with this margin: nothing was changed")
            return
        source, store = self.view.source, self.run.store
        with short_lock_timeout(store):
            count = overrides.accept_all(self.run, source, picked, f"margin over {margin:g}")
        self.queue.read(store, self.view)
        if self.goes_on and self.queue.now is not None and self.queue.now.override is not None:
            self._go_on()
        self._read_case()
        self._draw()
        self._tell(f"accepted {count:,} picks of the judge with a margin over {margin:g}; u takes them back")

    def action_undo(self) -> None:
        store, source = self.run.store, self.view.source
        last = last_override(store, source, overrides.user())
        here = self.case.override if self.case is not None else None
        if here is None and last is None:
            self._tell("there is no override of yours to undo")
            return
        if last is not None and (here is None or (here.who, here.created) == (last.who, last.created)):
            seed_ids = same_batch(store, source, last) or [last.seed_id]
        else:
            seed_ids = [here.seed_id] if here else []
        with short_lock_timeout(store):
            overrides.give_back_all(self.run, seed_ids, source, "undone")
        self.queue.read(store, self.view)
        if here is None or here.seed_id not in seed_ids:
            self.queue.move_to(seed_ids[0])
        self._read_case()
        self._draw()
        which = f"seed {seed_ids[0]} uses" if len(seed_ids) == 1 else f"{len(seed_ids):,} seeds use"
        self._tell(f"Undone. Now {which} the judge's pick again.")

    def action_reason(self) -> None:
        if self.case is None:
            return
        standing = self.case.standing
        known = standing.override.reason if standing.override else self.reasons.get(standing.seed_id, "")
        what = "override" if standing.override else "next pick"
        prompt = f"Why? The reason is stored with your {what} of this seed"
        self.app.push_screen(Ask(prompt, known), lambda text: self._reasoned(standing.seed_id, text))

    def _reasoned(self, seed_id: str, text: str | None) -> None:
        if text is None or self.case is None or self.case.standing.seed_id != seed_id:
            return
        person = self.case.standing.override
        if person is None:
            self.reasons[seed_id] = text.strip()
            self._draw()
            return
        self._override(self.case.number(person.candidate_id) or 0, text.strip(), stay=True)

    def _tell(self, sentence: str) -> None:
        self.app.notify(sanitize(sentence), markup=False)
