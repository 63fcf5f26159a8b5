"""Questions on a running job: what happens to it when the person leaves, and whether to kill it."""

from faq_tui.tui.screens.choice import Answer, ChoiceScreen

LEAVE, STOP, STAY = "leave", "stop", "stay"


def quit_screen(stage: str) -> ChoiceScreen:
    return ChoiceScreen(
        f"{stage} is still running.",
        (
            Answer("l", LEAVE, "Leave, and let it run on"),
            Answer("s", STOP, "Stop it and leave (finished work is kept)"),
            Answer("escape", STAY, "Stay here"),
        ),
    )


def kill_screen() -> ChoiceScreen:
    return ChoiceScreen(
        "The job was asked to stop and will do so at its next safe point.",
        (
            Answer("e", STOP, "End it now (what is unfinished is done again)"),
            Answer("w", STAY, "Wait for it"),
        ),
    )
