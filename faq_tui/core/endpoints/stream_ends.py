"""Remember how a server shows that an answer is complete.

A good server sends a finish_reason. Some servers send only [DONE] or the usage. A few servers send none of these and
close the connection, which then seems to be lost. Requesting the answer again would cost money and would not help.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StreamEnds:
    """What the answers of one server have shown so far."""

    shown_once: bool = False  # True after an answer with a finish_reason, usage or [DONE]
    without_reason: int = 0  # number of complete answers without a finish_reason
    endless: int = 0  # number of answers whose end was not marked in any way

    def shown(self, finish_reason: bool, ended: bool) -> bool | None:
        """The value of `Reply.whole` for an answer. None means that the answer should be requested again.

        `ended` is True if the usage, [DONE] or a whole response was received.
        """
        if finish_reason or ended:
            self.shown_once = True
            self.without_reason += not finish_reason
            return True
        self.endless += 1
        return None if self.shown_once or self.endless == 1 else False
