"""The title of the terminal, and notices when a job ends, as escape sequences.

A terminal that does not know a sequence ignores it. The texts are sanitized, so that no text of a model or a file can
end a sequence and begin another one.
"""

from __future__ import annotations

from collections.abc import Mapping

from faq_tui.core.base.text import sanitize
from faq_tui.tui.live import LiveState
from faq_tui.tui.session import Session

NAME = "faq-tui"
LONGEST = 200  # maximum number of characters of a text in an escape sequence
WITHOUT = ("dumb", "linux")  # kinds of terminals that may print the text of a sequence
BELL = "\a"


def understands(environ: Mapping[str, str]) -> bool:
    """True if the terminal interprets the sequences for a title and a notice, and does not print them as text."""
    return environ.get("TERM", "") not in WITHOUT


def keep_title() -> str:
    """Ask the terminal to remember its present title."""
    return "\x1b[22;2t"


def give_back_title() -> str:
    """Ask the terminal to show the title that it remembers.

    If the terminal cannot remember a title, its title becomes empty.
    """
    return "\x1b]2;\a\x1b[23;2t"


def show_title(text: str) -> str:
    return f"\x1b]2;{_safe(text)}\a"


def notify(text: str, environ: Mapping[str, str]) -> str:
    """Ring the bell and show a notice, with the sequences OSC 9 (iTerm2, kitty, WezTerm) and OSC 777 (foot, Ghostty,
    urxvt).
    """
    body = _safe(text)
    osc9 = f"\x1b]9;{body}\a"
    osc777 = f"\x1b]777;notify;{NAME};{body.replace(';', ',')}\a"
    return BELL + "".join(_through_tmux(one, environ) for one in (osc9, osc777))


def _through_tmux(sequence: str, environ: Mapping[str, str]) -> str:
    if not environ.get("TMUX"):
        return sequence
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _safe(text: str) -> str:
    return " ".join(sanitize(text, LONGEST).replace("\ufffd", " ").split())


def title_of(run: str, session: Session) -> str:
    """The title: the name of the run, and the stage of a running job with its progress in percent."""
    doing = _doing(session)
    return f"{NAME} {run}: {doing}" if doing else f"{NAME} {run}"


def _doing(session: Session) -> str:
    stage = session.live.stage
    if session.phase == "starting":
        return "starting"
    if not session.busy and session.phase != "replay":
        return {"failed": "failed", "killed": "killed", "done": "finished"}.get(session.outcome or "", "")
    if stage is None:
        return ""
    share = share_done(session.live)
    return stage.stage if share is None else f"{stage.stage} {share:.0%}"


def share_done(live: LiveState) -> float | None:
    """The finished share of the running stage, from 0 to 1. A layer counts as a part of its artefact."""
    stage = live.stage
    if stage is None or stage.state != "running" or not stage.all_units:
        return None
    done = float(stage.finished)
    done += sum(len(one.layer_done) / one.layers for one in live.running_artefacts() if one.layers)
    return min(1.0, done / stage.all_units)


def end_in_words(run: str, session: Session) -> str:
    """The text of the notice about the job that has ended; "" if the person stopped the job."""
    stage = session.live.stage
    name = stage.stage if stage is not None else "the job"
    message = stage.message if stage is not None else ""
    match session.outcome:
        case "done":
            return f"{run}: finished"
        case "failed":
            return f"{run}: {name} failed. {message}".strip()
        case "killed":
            return f"{run}: {name}: the job was killed"
        case _:
            return ""
