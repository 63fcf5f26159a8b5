"""An item's own words as one model reads them: the tokens marked on which it departs from the unquantized one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.text import Text

from faq_tui.core.base.text import sanitize
from faq_tui.core.evaluation.compare import decode_token_kl
from faq_tui.core.evaluation.kinds import LABELLED, kind_of
from faq_tui.core.run.run import Run
from faq_tui.core.store.measurements import one_item, token_kl_of
from faq_tui.tui.panes.evidence.data import LoadedEvidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


import math
from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, LAST_WORD, PROSE
from faq_tui.core.stats.sums import Sums
from faq_tui.tui.panes.evidence.data import EvidenceViewState
from faq_tui.tui.widgets.covered import CoveredHorizontal
from faq_tui.tui.widgets.flow import FlowView
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.short import ShortText
from faq_tui.tui.widgets.text import LiteralText

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


HIGHEST, HIGH = 0.95, 0.85  # shares of both models' tokens that lie below what is marked
LEGEND = "bold red: highest 5% of KL · yellow: next 10% · underlined: other top-1"
UNMARKED = "The tokens of these models are not stored: they were measured by an older faq-tui."


@dataclass(frozen=True)
class Words:
    """Of one opened item; empty where it is labelled or was measured before words were kept."""

    body: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]] = field(default_factory=dict)  # by model
    levels: tuple[float, float] = (float("inf"), float("inf"))  # KL from which a token is highest, or high

    @property
    def pieces(self) -> list[str]:
        return list(self.body.get("pieces", []))

    @property
    def legend(self) -> str:
        """What the marks mean: shares are of both models' tokens, top-1 is the likeliest token."""
        return LEGEND if self.marks else UNMARKED


def words_of(run: Run, found: LoadedEvidence, names: tuple[str, str], text: str, number: int) -> Words:
    """Read from the database: one item, and the tokens of two models."""
    import numpy as np

    if kind_of(text) in LABELLED:
        return Words()
    body, marks = one_item(run.store, text, number), {}
    for name in names:
        folder = next((row.same_as or row.name for row in found.models if row.name == name), None)
        sums = found.sums_of(name, text)
        blob = None if folder is None else token_kl_of(run.store, folder, text)
        if blob is not None and sums is not None:
            marks[name] = decode_token_kl(blob, sums.columns["tokens"].tolist(), number)
    kl = np.concatenate([np.zeros(0), *(values for values, _ in marks.values())])
    levels = (float(np.quantile(kl, HIGHEST)), float(np.quantile(kl, HIGH))) if kl.size else Words().levels
    return Words(body, marks, levels)


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


Parts = list[tuple[str, str] | None]

LONGEST = 1000  # characters of an item in one line
MOST_APART = 12  # items of each text that has no right or wrong
UNITS = {PROSE: "window", ANSWERS: "answer"}
RIGHT, WRONG, UNKNOWN = "right", "wrong", "–"


@dataclass(frozen=True)
class Entry:
    """One item; `cells` say of the unquantized, the left and the right model what became of it."""

    text: str
    number: int  # from 0
    cells: tuple[str, str, str]
    words: str  # one line of it


def entries(found: LoadedEvidence, view_state: EvidenceViewState) -> list[Entry]:
    """Labelled texts first: the items that flipped in any model; of others the ones furthest apart."""
    if found.evidence is None:
        return []
    texts = sorted((text.name for text in found.evidence.texts), key=lambda name: kind_of(name) not in LABELLED)
    listed: list[Entry] = []
    for text in texts:
        labelled = kind_of(text) in LABELLED
        listed += _flipped(found, view_state, text) if labelled else _apart(found, view_state, text)
    return listed


def three(
    found: LoadedEvidence, view_state: EvidenceViewState, text: str
) -> tuple[Sums | None, Sums | None, Sums | None]:
    """The sums of the unquantized, the left and the right model."""
    return (
        found.sums_of(UNQUANTIZED, text),
        found.sums_of(view_state.left, text),
        found.sums_of(view_state.right, text),
    )


def _flipped(found: LoadedEvidence, view_state: EvidenceViewState, text: str) -> Iterator[Entry]:
    flips = [flipped for flipped in found.evidence.flips if flipped.text == text] if found.evidence else []
    numbers = {number for flipped in flips for number in (*flipped.lost, *flipped.won)}
    sides = three(found, view_state, text)

    def of_number(number: int) -> Entry:
        cells = tuple(UNKNOWN if s is None else _mark(s.columns["correct"][number]) for s in sides)
        return Entry(text, number, (cells[0], cells[1], cells[2]), _words(body_of(found, text, number)))

    made = [of_number(number) for number in sorted(numbers)]
    yield from sorted(made, key=lambda entry: len(set(entry.cells)) == 1)  # the shown two's own flips first


def _apart(found: LoadedEvidence, view_state: EvidenceViewState, text: str) -> Iterator[Entry]:
    target, left, right = three(found, view_state, text)
    if target is None or left is None or right is None or "kl" not in left.columns:
        return
    ours, theirs = (sums.columns["kl"] / sums.columns["tokens"].clip(1) for sums in (right, left))
    unit = UNITS.get(kind_of(text), "document")
    for number in (-abs(ours - theirs)).argsort(kind="stable")[:MOST_APART].tolist():
        tokens = int(target.columns["tokens"][number])
        cells = ("KL 0", f"{theirs[number]:.4f}", f"{ours[number]:.4f}")
        yield Entry(text, number, cells, f"{unit} {number + 1} of {len(target)}, {tokens:,} tokens")


def _mark(correct: float) -> str:
    return RIGHT if correct > 0 else WRONG


def body_of(found: LoadedEvidence, text: str, number: int) -> dict[str, Any]:
    bodies = found.bodies.get(text, [])
    return bodies[number] if number < len(bodies) else {}


def _words(body: dict[str, Any]) -> str:
    said = body.get("question") or body.get("passage")
    return " ".join(str(said)[:LONGEST].split()) if said else "its words were not stored"


def item_parts(found: LoadedEvidence, entry: Entry, words: Words) -> Parts:
    """The item itself: (text, style) parts, None a gap."""
    kind, body = kind_of(entry.text), body_of(found, entry.text, entry.number)
    if kind == CHOICES and body:
        listed = "\n".join(
            f"{_letter(index)}  {choice}{'   ← right' if index == body['answer'] else ''}"
            for index, choice in enumerate(body["choices"])
        )
        return [(str(body["question"]), "bold"), ("\n" + listed, "")]
    if kind == LAST_WORD and body:
        context, _, word = str(body["passage"]).rpartition(" ")
        return [(context, ""), (f"\nThe last word must be: {word}", "bold")]
    what = found.about.get(entry.text, "")
    if words.pieces:
        before = words.body.get("question") or words.body.get("context", "")
        told = [(before, "bold" if "question" in words.body else "")] if before else []
        return [(words.legend, "dim"), *told]
    note = "Its words are not stored: it was measured by an older faq-tui."
    return [(entry.words, "bold"), (f"\n{what[:1].upper()}{what[1:]}. {note}" if what else f"\n{note}", "dim")]


def model_parts(found: LoadedEvidence, entry: Entry, name: str) -> Parts:
    """What a model made of the item."""
    sums = found.sums_of(name, entry.text)
    if sums is None or entry.number >= len(sums):
        return [("not measured on this text", "dim")]
    figures = {column: float(values[entry.number]) for column, values in sums.columns.items()}
    parts: Parts = []
    if "correct" in figures:
        parts.append((_mark(figures["correct"]), "bold green" if figures["correct"] > 0 else "bold red"))
    if "choice" in figures:
        choices = body_of(found, entry.text, entry.number).get("choices", [])
        for column, how in (("choice", "likeliest"), ("choice_norm", "by length")):
            chosen = int(figures[column])
            said = choices[chosen] if chosen < len(choices) else ""
            parts.append((f"\n{how}: {_letter(chosen)}  {said}", ""))
    lines = _figures(figures)
    if lines:
        parts += [("\n" + "\n".join(lines), "")]
    return parts


def _figures(figures: dict[str, float]) -> list[str]:
    """Of the item's predicted tokens."""
    tokens = figures.get("tokens", 0.0)
    if not tokens:
        return []
    lines = [f"{tokens:,.0f} tokens predicted"]
    if "nll" in figures:
        mean = figures["nll"] / tokens
        lines.append(f"token perplexity {math.exp(mean):.3f}" if mean < 50 else "token perplexity beyond e^50")
    if "kl" in figures:
        lines.append(f"KL {figures['kl'] / tokens:.4f} nats a token")
    if "agree" in figures:
        lines.append(f"top-1 agreement {figures['agree'] / tokens:.1%}")
    return lines


def _letter(index: int) -> str:
    return chr(ord("A") + index) if 0 <= index < 26 else str(index + 1)


def as_text(found: LoadedEvidence, view_state: EvidenceViewState, entry: Entry, words: Words) -> str:
    """The item and its three readings, for the clipboard."""
    blocks: list[tuple[str, Parts]] = [("", item_parts(found, entry, words)), ("", [("".join(words.pieces), "")])]
    blocks += [(name, model_parts(found, entry, name)) for name in (UNQUANTIZED, view_state.left, view_state.right)]
    told = [(f"{name}:\n" if name else "") + "\n".join(part[0] for part in parts if part) for name, parts in blocks]
    return "\n\n".join(filter(None, told))
