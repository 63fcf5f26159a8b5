"""Questions about a running job: whether the job stops when the user leaves, and whether to kill the job."""

from faq_tui.tui.screens.choice import Answer, ChoiceScreen

LEAVE, STOP, STAY = "leave", "stop", "stay"


class JobQuestion(ChoiceScreen):
    """The app closes this question when the job ends, because the answers then have no meaning."""


def quit_screen(stage: str, kept: str = "finished work is kept") -> JobQuestion:
    """`kept` says what is kept if the job is stopped."""
    return JobQuestion(
        f"{stage} is still running.",
        (
            Answer("l", LEAVE, "Leave and keep it running"),
            Answer("s", STOP, f"Stop it and leave ({kept})"),
            Answer("escape", STAY, "Stay here"),
        ),
    )


def kill_screen() -> JobQuestion:
    return JobQuestion(
        "The job will stop at its next safe point.",
        (
            Answer("e", STOP, "End it now (unfinished work is lost)"),
            Answer("w", STAY, "Wait for it"),
        ),
    )
