"""Follow the latest candidate: which one is shown while the person chooses none."""

from __future__ import annotations

from faq_tui.tui.live import CandidateKey, GrowingCandidate, Regeneration

QUIET_S = 2.0  # a candidate that gets no text for so long is left


class Follower:
    """Stays with a candidate until it is finished or gets no more text, then goes to the one that got text last."""

    def __init__(self) -> None:
        self.on = False
        self._length, self._since = 0, 0.0  # characters the candidate had, and when they last became more

    def toggle(self) -> None:
        self.on = not self.on
        self._length, self._since = 0, 0.0

    def next(self, regeneration: Regeneration, shown: CandidateKey | None, now: float) -> CandidateKey | None:
        """Where to go now; None to stay."""
        latest = regeneration.latest
        if not self.on or latest is None:
            return None
        growing = regeneration.growing.get(shown) if shown else None
        if growing is not None and growing.waits_until is None and not self._is_silent(growing, now):
            return None
        return latest if latest in regeneration.growing else None

    def went(self, now: float) -> None:
        self._length, self._since = 0, now

    def _is_silent(self, growing: GrowingCandidate, now: float) -> bool:
        length = growing.reasoning.length + growing.answer.length
        if length != self._length:
            self._length, self._since = length, now
        return now - self._since >= QUIET_S
