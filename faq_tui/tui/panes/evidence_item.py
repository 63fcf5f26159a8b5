"""One item side by side: what it is, and what three models made of it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.tui.panes.evidence_found import Found
from faq_tui.tui.panes.evidence_items import Entry, item_parts, model_parts
from faq_tui.tui.panes.evidence_wanted import Wanted
from faq_tui.tui.widgets.covered import CoveredHorizontal
from faq_tui.tui.widgets.flow_view import FlowView
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.short import ShortText


class ModelBox(Vertical):
    def __init__(self) -> None:
        super().__init__(classes="model")

    def compose(self) -> ComposeResult:
        yield ShortText(classes="title")
        yield FlowView()


class ItemView(Vertical):
    """Empty until `show`."""

    def compose(self) -> ComposeResult:
        yield ShortText(id="item-title")
        yield FlowView(id="item-body")
        with CoveredHorizontal(id="item-models"):
            for _ in range(3):
                yield ModelBox()

    def show(self, found: Found, wanted: Wanted, entry: Entry, place: str) -> None:
        """`place`: which of how many, in words."""
        self.query_one("#item-title", ShortText).show_whole(
            f"{found.title(entry.text)}, item {entry.number + 1}   {place}"
        )
        self.query_one("#item-body", FlowView).show(_cut(item_parts(found, entry)))
        models = (UNQUANTIZED, wanted.left, wanted.right)
        for box, model in zip(self.query(ModelBox), models, strict=True):
            box.query_one(ShortText).show_whole(model or "no model")
            box.query_one(FlowView).show(_cut(model_parts(found, entry, model)))

    def scroll_by(self, pages: int) -> None:
        body = self.query_one("#item-body", FlowView)
        body.scroll_by(pages * body.page)


def _cut(parts: list[tuple[str, str] | None]) -> list[tuple[str, str] | None]:
    return [part and (part[0][:LIMIT] + rest(part[0]), part[1]) for part in parts]
