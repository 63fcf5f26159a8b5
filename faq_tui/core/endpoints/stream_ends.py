"""Remember how a server shows that an answer is complete.

A good server gives a finish_reason. Some send only [DONE] or the usage, and a few only close the connection. The
last kind looks as if the connection was lost. To request such an answer again costs money and does not help.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StreamEnds:
    """What the answers of one server have shown so far."""

    shown_once: bool = False  # True once an answer had a finish_reason, usage or [DONE]
    without_reason: int = 0  # number of complete answers without a finish_reason
    endless: int = 0  # number of answers with no sign of an end

    def shown(self, finish_reason: bool, ended: bool) -> bool | None:
        """The value of `Reply.whole` for an answer. None if the answer is to be requested again.

        `ended` is True if usage, [DONE] or a whole response was received.
        """
        if finish_reason or ended:
            self.shown_once = True
            self.without_reason += not finish_reason
            return True
        self.endless += 1
        return None if self.shown_once or self.endless == 1 else False
