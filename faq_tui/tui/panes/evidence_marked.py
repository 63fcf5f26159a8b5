"""An item's own words as one model reads them: the tokens marked on which it departs from the unquantized one."""

from __future__ import annotations

from rich.text import Text

from faq_tui.core.base.sanitize import sanitize
from faq_tui.tui.panes.evidence_tokens import Words

HIGHEST_STYLE, HIGH_STYLE, OTHER_STYLE = "bold red", "yellow", "underline"
END_OF_LINE = "↵\n"  # a marked one must be seen


def marked(words: Words, name: str) -> Text:
    """The predicted tokens as `name` reads them; plain where its tokens were not kept."""
    pieces, text = words.pieces, Text()
    kl, differs = words.marks.get(name, ([0.0] * len(pieces), [False] * len(pieces)))
    highest, high = words.levels
    for piece, value, other in zip(pieces, kl, differs, strict=False):
        styles = [OTHER_STYLE] if other else []
        if value > 0 and value >= high:
            styles.append(HIGHEST_STYLE if value >= highest else HIGH_STYLE)
        shown = piece.replace("\n", END_OF_LINE) if styles and not piece.strip() else piece
        text.append(sanitize(shown, newlines=True), " ".join(styles))
    return text
