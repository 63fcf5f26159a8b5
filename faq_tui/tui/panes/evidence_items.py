"""Items to read one by one: those that flipped, and those on which two models are furthest apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, LABELLED, LAST_WORD, PROSE, kind_of
from faq_tui.core.stats.sums import Sums
from faq_tui.tui.panes.evidence_found import LoadedEvidence
from faq_tui.tui.panes.evidence_tokens import Words
from faq_tui.tui.panes.evidence_view_state import EvidenceViewState

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
