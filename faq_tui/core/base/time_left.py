"""Estimate how long work will still take, from reports about its progress.

Work is often finished in bursts: a server that answers 32 requests at once finishes no request for a while, and then
many. An estimate from the last few reports would jump with each burst. Therefore the rate is a mean over a long time,
and a new estimate replaces the shown one gradually.
"""

from __future__ import annotations

HALF_LIFE_S = 60.0  # progress that is older than this counts at most half. If the work has taken long, it is longer.
LEAST_TIME_S = 2.0  # no estimate is made from reports of a shorter time
LEAST_SHARE = 0.01  # no estimate is made before this share of the work is done: the first units are not typical
EASE_SHARE, MOST_EASE_S = 0.1, 15.0  # the shown estimate covers half of its error in a tenth of the time left


class TimeLeft:
    """Estimates the time left from the number of finished units.

    The time before the first finished unit is not counted, because a model may have to be loaded. The sums of units
    and of seconds lose half of their weight in `HALF_LIFE_S`, or in half of the time since the first report if that
    is longer.
    """

    def __init__(self) -> None:
        self._first: float | None = None  # the time of the first report
        self._done, self._at = 0.0, 0.0  # the last report
        self._units, self._seconds, self._reports = 0.0, 0.0, 0.0  # weighted sums since the first report
        self._shown: tuple[float, float] | None = None  # (time of the last estimate, estimated time of the end)

    def report(self, done: float, at: float) -> None:
        """`done` units are finished at the time `at`, in seconds. Reports without progress are ignored."""
        if done <= self._done:
            return
        if self._first is None:
            self._first = at
        else:
            passed = max(0.0, at - self._at)
            weight = 0.5 ** (passed / max(HALF_LIFE_S, (at - self._first) / 2))
            self._units = self._units * weight + done - self._done
            self._seconds = self._seconds * weight + passed
            self._reports = self._reports * weight + 1
        self._done, self._at = done, at

    def pause(self, seconds: float, now: float) -> None:
        """Do not count the last `seconds` before `now`, in which no work was possible."""
        if self._first is not None:
            self._at += max(0.0, min(seconds, now - self._at))

    def per_second(self, total: float, now: float, at_least: float = 0) -> float | None:
        """Units per second. `total` is the number of all units. If the next report is overdue, the rate falls.

        None if the rate is not known yet. None also if fewer than `at_least` units, and less than half of all units,
        are finished.
        """
        if not self._reports or self._done < max(LEAST_SHARE * total, min(at_least, total / 2)):
            return None
        overdue = max(0.0, now - self._at - 2 * self._gap)
        seconds = self._seconds + overdue
        return self._units / seconds if seconds >= LEAST_TIME_S else None

    def seconds(self, total: float, now: float, at_least: float = 0) -> float | None:
        """The estimated time left, in seconds. None if `per_second` returns None.

        Calls with increasing times `now` return values that change gradually.
        """
        rate = self.per_second(total, now, at_least)
        if rate is None:
            return None
        waited = min(max(0.0, now - self._at), self._gap)
        end = now + max(0.0, (total - self._done) / rate - waited)
        if self._shown is not None and now >= self._shown[0]:
            before, shown = self._shown
            half = min(MOST_EASE_S, max(1.0, EASE_SHARE * (end - now)))
            end += (shown - end) * 0.5 ** ((now - before) / half)
        self._shown = now, end
        return max(0.0, end - now)

    @property
    def _gap(self) -> float:
        """The mean number of seconds between two reports."""
        return self._seconds / self._reports if self._reports else 0.0
