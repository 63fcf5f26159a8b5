"""Show the list of items, and a single item with the result of each model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from faq_tui.core.base.text import sanitize
from faq_tui.core.evaluation.compare import decode_token_kl
from faq_tui.core.evaluation.greedy_answers import LENGTH, SAME, TARGET_LENGTH, UNENDED
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, GREEDY, LABELLED, LAST_WORD, PROSE, kind_of
from faq_tui.core.run.run import Run
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.measurements import one_item, token_kl_of
from faq_tui.tui.panes.evidence.data import EvidenceViewState, LoadedEvidence
from faq_tui.tui.widgets.covered import CoveredHorizontal
from faq_tui.tui.widgets.flow import FlowView
from faq_tui.tui.widgets.marked import LIMIT, rest
from faq_tui.tui.widgets.short import ShortText
from faq_tui.tui.widgets.text import LiteralText

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 1000  # maximum number of characters of an item in the list
MOST_DIFFERENT = 12  # number of listed items for each text without labels
UNITS = {PROSE: "window", ANSWERS: "answer"}
RIGHT, WRONG, UNKNOWN = "right", "wrong", "–"
# Quantiles of the KL over the tokens of both models. A token is marked if its KL is at least one of these quantiles.
HIGHEST, HIGH = 0.95, 0.85
LEGEND = "bold red: highest 5% of KL · yellow: next 10% · underlined: other top-1"
UNMARKED = "The tokens of these models are not stored, because an older faq-tui measured them."
HIGHEST_STYLE, HIGH_STYLE, OTHER_STYLE = "bold red", "yellow", "underline"
END_OF_LINE = "↵\n"  # shown for a line break with a mark, because the mark of a plain line break would be invisible
Parts = list[tuple[str, str] | None]


@dataclass(frozen=True)
class Entry:
    """One item of the list. `cells` are the results of the unquantized, the left and the right model."""

    text: str
    number: int  # index of the item in its text, from 0
    cells: tuple[str, str, str]
    words: str  # the item in one line


def entries(loaded: LoadedEvidence, view_state: EvidenceViewState) -> list[Entry]:
    """The items of the list.

    The list begins with labelled items for which a quantized model was right and the unquantized model was wrong, or
    the reverse. After these come items without labels, on which the left and the right model differ most.
    """
    if loaded.evidence is None:
        return []
    texts = sorted((text.name for text in loaded.evidence.texts), key=lambda name: kind_of(name) not in LABELLED)
    listed: list[Entry] = []
    for text in texts:
        entries = ENTRIES.get(kind_of(text), _most_different)
        listed += entries(loaded, view_state, text)
    return listed


def _flipped(loaded: LoadedEvidence, view_state: EvidenceViewState, text: str) -> Iterator[Entry]:
    flips = [flipped for flipped in loaded.evidence.flips if flipped.text == text] if loaded.evidence else []
    numbers = {number for flipped in flips for number in (*flipped.lost, *flipped.won)}
    sides = _three_sums(loaded, view_state, text)

    def of_number(number: int) -> Entry:
        cells = tuple(UNKNOWN if s is None else _mark(s.columns["correct"][number]) for s in sides)
        return Entry(text, number, (cells[0], cells[1], cells[2]), _words(body_of(loaded, text, number)))

    made = [of_number(number) for number in sorted(numbers)]
    # Items for which the shown models have different results come first.
    yield from sorted(made, key=lambda entry: len(set(entry.cells)) == 1)


def _most_different(loaded: LoadedEvidence, view_state: EvidenceViewState, text: str) -> Iterator[Entry]:
    target, left, right = _three_sums(loaded, view_state, text)
    if target is None or left is None or right is None or "kl" not in left.columns:
        return
    ours, theirs = (sums.columns["kl"] / sums.columns["tokens"].clip(1) for sums in (right, left))
    unit = UNITS.get(kind_of(text), "document")
    for number in (-abs(ours - theirs)).argsort(kind="stable")[:MOST_DIFFERENT].tolist():
        tokens = int(target.columns["tokens"][number])
        cells = ("KL 0", f"{theirs[number]:.4f}", f"{ours[number]:.4f}")
        yield Entry(text, number, cells, f"{unit} {number + 1} of {len(target)}, {tokens:,} tokens")


def _other_answers(loaded: LoadedEvidence, view_state: EvidenceViewState, text: str) -> Iterator[Entry]:
    """The greedy answers to each question.

    First come questions for which the left and the right model depart from the target at different places.
    """
    sides = _three_sums(loaded, view_state, text)
    if any(sums is None or SAME not in sums.columns for sums in sides):
        return
    target, left, right = (sums.columns for sums in sides if sums is not None)
    for number in (-abs(left[SAME] - right[SAME])).argsort(kind="stable")[:MOST_DIFFERENT].tolist():
        cells = tuple(f"{int(columns[LENGTH][number]):,} tokens" for columns in (target, left, right))
        yield Entry(
            text, number, (cells[0], cells[1], cells[2]), f"greedy answer {number + 1} of {len(target[SAME])}"
        )


ENTRIES = {LAST_WORD: _flipped, CHOICES: _flipped, GREEDY: _other_answers}


def _three_sums(
    loaded: LoadedEvidence, view_state: EvidenceViewState, text: str
) -> tuple[Sums | None, Sums | None, Sums | None]:
    """The stored measurements of the unquantized model, the left model and the right model."""
    return (
        loaded.sums_of(UNQUANTIZED, text),
        loaded.sums_of(view_state.left, text),
        loaded.sums_of(view_state.right, text),
    )


def _mark(correct: float) -> str:
    return RIGHT if correct > 0 else WRONG


def body_of(loaded: LoadedEvidence, text: str, number: int) -> dict[str, Any]:
    bodies = loaded.bodies.get(text, [])
    return bodies[number] if number < len(bodies) else {}


def _words(body: dict[str, Any]) -> str:
    text = body.get("question") or body.get("passage")
    return " ".join(str(text)[:LONGEST].split()) if text else "the text of this item was not stored"


@dataclass(frozen=True)
class Words:
    """The text of one opened item and the KL of its tokens.

    `body` is empty if the item is labelled or its text was not stored.
    """

    body: dict[str, Any] = field(default_factory=dict)
    # Maps each model to two arrays with an entry per token: its KL, and whether the top-1 tokens differ.
    marks: dict[str, tuple[NDArray[np.float32], NDArray[np.bool_]]] = field(default_factory=dict)
    # The KL at the quantiles HIGHEST and HIGH.
    levels: tuple[float, float] = (float("inf"), float("inf"))

    @property
    def pieces(self) -> list[str]:
        return list(self.body.get("pieces", []))

    @property
    def legend(self) -> str:
        """A line that explains the marks.

        The percentages in the legend are shares of the tokens of both models. "top-1" is the likeliest token.
        """
        return LEGEND if self.marks else UNMARKED


def words_of(run: Run, loaded: LoadedEvidence, names: tuple[str, str], text: str, number: int) -> Words:
    """Read one item from the database, with the KL of its tokens in two models."""
    import numpy as np

    if kind_of(text) in LABELLED:
        return Words()
    body, marks = one_item(run.store, text, number), {}
    for name in names:
        folder = next((row.same_as or row.name for row in loaded.models if row.name == name), None)
        sums = loaded.sums_of(name, text)
        blob = None if folder is None else token_kl_of(run.store, folder, text)
        if blob is not None and sums is not None:
            marks[name] = decode_token_kl(blob, sums.columns["tokens"].tolist(), number)
    kl = np.concatenate([np.zeros(0), *(values for values, _ in marks.values())])
    levels = (float(np.quantile(kl, HIGHEST)), float(np.quantile(kl, HIGH))) if kl.size else Words().levels
    return Words(body, marks, levels)


def marked(words: Words, name: str) -> Text:
    """The predicted tokens of an item.

    The tokens on which the model `name` differs most from the unquantized model are marked.
    """
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


def item_parts(loaded: LoadedEvidence, entry: Entry, words: Words) -> Parts:
    """The text of the item, as parts (text, style). None stands for a gap between two parts."""
    kind, body = kind_of(entry.text), body_of(loaded, entry.text, entry.number)
    if kind == CHOICES and body:
        listed = "\n".join(
            f"{_letter(index)}  {choice}{'   ← right' if index == body['answer'] else ''}"
            for index, choice in enumerate(body["choices"])
        )
        return [(str(body["question"]), "bold"), ("\n" + listed, "")]
    if kind == LAST_WORD and body:
        context, _, word = str(body["passage"]).rpartition(" ")
        return [(context, ""), (f"\nThe last word must be: {word}", "bold")]
    what = loaded.about.get(entry.text, "")
    if kind == GREEDY:
        return [(str(words.body.get("question") or words.body.get("context") or ""), "bold"), (f"\n{what}", "dim")]
    if words.pieces:
        before = words.body.get("question") or words.body.get("context", "")
        parts = [(before, "bold" if "question" in words.body else "")] if before else []
        return [(words.legend, "dim"), *parts]
    note = "The text of this item is not stored, because an older faq-tui measured the item."
    return [(entry.words, "bold"), (f"\n{what[:1].upper()}{what[1:]}. {note}" if what else f"\n{note}", "dim")]


def model_parts(loaded: LoadedEvidence, entry: Entry, name: str) -> Parts:
    """A model's result on the item."""
    sums = loaded.sums_of(name, entry.text)
    if sums is None or entry.number >= len(sums):
        return [("not measured on this text", "dim")]
    figures = {column: float(values[entry.number]) for column, values in sums.columns.items()}
    parts: Parts = []
    if "correct" in figures:
        parts.append((_mark(figures["correct"]), "bold green" if figures["correct"] > 0 else "bold red"))
    if "choice" in figures:
        choices = body_of(loaded, entry.text, entry.number).get("choices", [])
        for column, how in (("choice", "likeliest"), ("choice_norm", "by length")):
            chosen = int(figures[column])
            choice = choices[chosen] if chosen < len(choices) else ""
            parts.append((f"\n{how}: {_letter(chosen)}  {choice}", ""))
    lines = _figures(figures)
    if lines:
        parts += [("\n" + "\n".join(lines), "")]
    return parts


def _figures(figures: dict[str, float]) -> list[str]:
    """Lines with figures about the item's predicted tokens. Each line has one figure."""
    if LENGTH in figures:
        length, target, same = (int(figures[name]) for name in (LENGTH, TARGET_LENGTH, SAME))
        end = ", no end" if figures[UNENDED] else ""
        return [f"{length:,} tokens{end}; unquantized {target:,}", f"the first {same:,} tokens are the same"]
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
        lines.append(f"same top-1 token {figures['agree'] / tokens:.1%}")
    return lines


def _letter(index: int) -> str:
    return chr(ord("A") + index) if 0 <= index < 26 else str(index + 1)


def as_text(loaded: LoadedEvidence, view_state: EvidenceViewState, entry: Entry, words: Words) -> str:
    """The item and the results of the three models, for the clipboard."""
    blocks: list[tuple[str, Parts]] = [("", item_parts(loaded, entry, words)), ("", [("".join(words.pieces), "")])]
    blocks += [(name, model_parts(loaded, entry, name)) for name in (UNQUANTIZED, view_state.left, view_state.right)]
    texts = [(f"{name}:\n" if name else "") + "\n".join(part[0] for part in parts if part) for name, parts in blocks]
    return "\n\n".join(filter(None, texts))


class ItemView(Vertical):
    """Shows one item: its text, and below the text the result of each model.

    The view is empty until `show` is called.
    """

    def compose(self) -> ComposeResult:
        yield ShortText(id="item-title")
        yield FlowView(id="item-body")
        with CoveredHorizontal(id="item-models"):
            for _ in range(3):
                yield ModelBox(classes="model")

    def show(
        self, loaded: LoadedEvidence, view_state: EvidenceViewState, entry: Entry, words: Words, position: str
    ) -> None:
        """`position` is a text such as `3 of 12`."""
        title = f"{loaded.title(entry.text)}, item {entry.number + 1}   {position}"
        self.query_one("#item-title", ShortText).whole = title
        self.query_one("#item-body", FlowView).show(_cut(item_parts(loaded, entry, words)))
        self.set_class(bool(words.pieces), "-words")
        models = (UNQUANTIZED, view_state.left, view_state.right)
        for box, model in zip(self.query(ModelBox), models, strict=True):
            # For an item without labels, the unquantized model has no marks to show. The box of the unquantized model
            # is hidden, so that the boxes of the other models have more space.
            box.display = model != UNQUANTIZED or not words.pieces
            parts = model_parts(loaded, entry, model)
            if words.pieces:
                parts = [part and (part[0].replace("\n", " · ").removeprefix(" · "), "dim") for part in parts]
            box.show(model or "no model", _cut(parts), marked(words, model))

    def scroll_by(self, pages: int) -> None:
        """Scroll by `pages` pages; a negative number scrolls up.

        When the user scrolls down, the item's text scrolls to its end before the models' boxes scroll. When the user
        scrolls up, the boxes scroll to their beginning before the text scrolls.
        """
        body, boxes = self.query_one("#item-body", FlowView), list(self.query(ModelBox))
        above = body.at_end if pages > 0 else any(box.scrolled for box in boxes)
        if not above:
            body.scroll_by(pages * body.page)
            return
        for box in boxes:
            box.page(pages)


class ModelBox(Vertical):
    """The result of one model on the item."""

    def compose(self) -> ComposeResult:
        yield ShortText(classes="title")
        with VerticalScroll(can_focus=False):
            yield LiteralText(classes="result")

    def show(self, title: str, parts: Parts, more: Text) -> None:
        whole = Text()
        for text, style in filter(None, parts):
            whole.append("\n" if whole and not text.startswith("\n") else "").append(
                sanitize(text, newlines=True), style
            )
        self.query_one(ShortText).whole = title
        self.query_one(".result", LiteralText).show(whole.append("\n\n").append_text(more) if more else whole)
        self.query_one(VerticalScroll).scroll_home(animate=False)

    @property
    def scrolled(self) -> bool:
        return self.query_one(VerticalScroll).scroll_offset.y > 0

    def page(self, by: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=by * max(1, scroll.size.height - 1), animate=False)


def _cut(parts: Parts) -> Parts:
    return [part and (part[0][:LIMIT] + rest(part[0]), part[1]) for part in parts]
