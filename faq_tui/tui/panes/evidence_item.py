"""One item side by side: what it is, and what the models made of it."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from faq_tui.core.base.sanitize import sanitize
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.tui.panes.evidence_found import LoadedEvidence
from faq_tui.tui.panes.evidence_items import Entry, Parts, item_parts, model_parts
from faq_tui.tui.panes.evidence_marked import marked
from faq_tui.tui.panes.evidence_tokens import Words
from faq_tui.tui.panes.evidence_view_state import EvidenceViewState
from faq_tui.tui.widgets.covered import CoveredHorizontal
from faq_tui.tui.widgets.flow import FlowView
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.short import ShortText
from faq_tui.tui.widgets.text import LiteralText


class ModelBox(Vertical):
    def compose(self) -> ComposeResult:
        yield ShortText(classes="title")
        with VerticalScroll(can_focus=False):
            yield LiteralText(classes="said")

    def show(self, title: str, parts: Parts, more: Text) -> None:
        said = Text()
        for text, style in filter(None, parts):
            said.append("\n" if said and not text.startswith("\n") else "").append(
                sanitize(text, newlines=True), style
            )
        self.query_one(ShortText).show_whole(title)
        self.query_one(".said", LiteralText).show(said.append("\n\n").append_text(more) if more else said)
        self.query_one(VerticalScroll).scroll_home(animate=False)

    @property
    def scrolled(self) -> bool:
        return self.query_one(VerticalScroll).scroll_offset.y > 0

    def page(self, by: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=by * max(1, scroll.size.height - 1), animate=False)


class ItemView(Vertical):
    """Empty until `show`."""

    def compose(self) -> ComposeResult:
        yield ShortText(id="item-title")
        yield FlowView(id="item-body")
        with CoveredHorizontal(id="item-models"):
            for _ in range(3):
                yield ModelBox(classes="model")

    def show(
        self, found: LoadedEvidence, view_state: EvidenceViewState, entry: Entry, words: Words, place: str
    ) -> None:
        """`place`: which of how many, in words."""
        title = f"{found.title(entry.text)}, item {entry.number + 1}   {place}"
        self.query_one("#item-title", ShortText).show_whole(title)
        self.query_one("#item-body", FlowView).show(_cut(item_parts(found, entry, words)))
        self.set_class(bool(words.pieces), "-words")
        models = (UNQUANTIZED, view_state.left, view_state.right)
        for box, model in zip(self.query(ModelBox), models, strict=True):
            # Of a text without labels the unquantized model departs nowhere: the two have its room.
            box.display = model != UNQUANTIZED or not words.pieces
            parts = model_parts(found, entry, model)
            if words.pieces:
                parts = [part and (part[0].replace("\n", " · ").removeprefix(" · "), "dim") for part in parts]
            box.show(model or "no model", _cut(parts), marked(words, model))

    def scroll_by(self, pages: int) -> None:
        """The item's own text first, then what the models made of it; upwards the other way round."""
        body, boxes = self.query_one("#item-body", FlowView), list(self.query(ModelBox))
        above = body.at_end if pages > 0 else any(box.scrolled for box in boxes)
        if not above:
            body.scroll_by(pages * body.page)
            return
        for box in boxes:
            box.page(pages)


def _cut(parts: Parts) -> Parts:
    return [part and (part[0][:LIMIT] + rest(part[0]), part[1]) for part in parts]
