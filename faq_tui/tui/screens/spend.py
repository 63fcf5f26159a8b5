"""Ask whether to spend the estimated cost of regeneration."""

from faq_tui.tui.screens.choice import Answer, ChoiceScreen

SPEND, SAMPLE, STAY = "spend", "sample", "stay"


def spend_screen(sentences: list[str]) -> ChoiceScreen:
    return ChoiceScreen(
        "\n\n".join(sentences),
        (
            Answer("y", SPEND, "Yes, start"),
            Answer("s", SAMPLE, "Only generate enough for a better estimate, then ask again"),
            Answer("escape", STAY, "Not now"),
        ),
    )
