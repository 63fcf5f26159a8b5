"""The reasons why a row of a seed file is skipped, or why a part of a row is left out."""

from __future__ import annotations

EMPTY, DUPLICATE, BROKEN = "empty", "duplicate", "broken"
ENCODING, NO_QUESTION, TOOLS = "encoding", "no question", "tools"
IMAGE, AUDIO, VIDEO = "image", "audio", "video"

# The parts of a row that can be left out while the rest of the row becomes a seed. Each text completes the sentence
# "in 3 seeds …".
LEFT_OUT = {
    TOOLS: "the turns from the first tool call on are left out",
    "system": "the text of the system column is left out, since the chat has a system turn",
    "further prompts": "only the first question of several is used",
}


class ShapeError(ValueError):
    """The record has no question that can be used. The message says why. The row is counted under `reason`."""

    def __init__(self, message: str, reason: str = BROKEN) -> None:
        super().__init__(message)
        self.reason = reason


def reason_of(problem: str) -> str:
    """The reason under which a problem is counted. `problem` completes the sentence "line 3 is …"."""
    if problem == EMPTY:
        return EMPTY
    return ENCODING if problem.startswith("not UTF-8") else BROKEN


def in_short(reasons: dict[str, int]) -> str:
    """The counts by reason as text, such as `2 empty, 4 broken, 1 image`.

    All broken rows are counted together, as "broken".
    """
    short: dict[str, int] = {}
    for reason, count in reasons.items():
        name = BROKEN if reason in (ENCODING, NO_QUESTION) else reason
        short[name] = short.get(name, 0) + count
    return ", ".join(f"{count} {name}" for name, count in short.items())
