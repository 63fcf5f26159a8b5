"""Questions about a running job: whether the job stops when the user leaves, and whether to kill the job."""

from faq_tui.tui.screens.choice import Answer, ChoiceScreen

LEAVE, STOP, STAY = "leave", "stop", "stay"


def quit_screen(stage: str, kept: str = "finished work is kept") -> ChoiceScreen:
    """`kept` says what is kept if the job is stopped."""
    return ChoiceScreen(
        f"{stage} is still running.",
        (
            Answer("l", LEAVE, "Leave and keep it running"),
            Answer("s", STOP, f"Stop it and leave ({kept})"),
            Answer("escape", STAY, "Stay here"),
        ),
    )


def kill_screen() -> ChoiceScreen:
    return ChoiceScreen(
        "The job will stop at its next safe point.",
        (
            Answer("e", STOP, "End it now (unfinished work is lost)"),
            Answer("w", STAY, "Wait for it"),
        ),
    )
