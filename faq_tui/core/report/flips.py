"""The section on flips.

An item flips if quantization changes the model's answer from right to wrong, or from wrong to right.
"""

from __future__ import annotations

from typing import Any

from faq_tui.core.base.text import counted
from faq_tui.core.evaluation.kinds import CHOICES, kind_of
from faq_tui.core.evidence import Evidence, Flips
from faq_tui.core.report.formatting import MISSING, escape
from faq_tui.core.report.tables import table
from faq_tui.core.run.run import Run
from faq_tui.core.store.measurements import all_items

EXPLANATION = "Lost: only the model before quantization is right. Won: only the model after quantization is right."
SHOWN = 12  # number of items shown per text; report.json holds all items
LONGEST = 160


def flips(run: Run, evidence: Evidence) -> list[dict[str, Any]]:
    """List the labelled texts.

    An entry holds the flips of each model on the text, and the content of all flipped items.
    """
    entries = []
    for text in dict.fromkeys(flipped.text for flipped in evidence.flips):
        of_text = [flipped for flipped in evidence.flips if flipped.text == text]
        items = all_items(run.store, text)
        numbers = sorted({number for flipped in of_text for number in (*flipped.lost, *flipped.won)})
        entries.append(
            {
                "text": text,
                "items": next(t.items for t in evidence.texts if t.name == text),
                "models": [{"name": f.model, "lost": f.lost, "won": f.won} for f in of_text],
                "flipped": [
                    _item(number, items[number] if number < len(items) else {}, of_text) for number in numbers
                ],
            }
        )
    return entries


def _item(number: int, body: dict[str, Any], of_text: list[Flips]) -> dict[str, Any]:
    chosen = {f.model: f.choices[number] for f in of_text if number in f.choices}
    return {
        "number": number,
        "passage": body.get("passage"),
        "question": body.get("question"),
        "choices": body.get("choices"),
        "answer": body.get("answer"),
        "unquantized": next((before for before, _ in chosen.values()), None),  # the choice of the unquantized model
        "chosen": {model: now for model, (_, now) in chosen.items()},
        "lost_by": [f.model for f in of_text if number in f.lost],
        "won_by": [f.model for f in of_text if number in f.won],
    }


def flip_lines(body: dict[str, Any]) -> list[str]:
    """The section as lines of Markdown. The result is empty if there are no labelled items."""
    if not body["flips"]:
        return []
    titles = {text["name"]: text["title"] for text in body["texts"]}
    rows = [
        [
            *(escape(model["name"]), escape(titles[one["text"]]), str(one["items"])),
            *(str(len(model["lost"])), str(len(model["won"]))),
        ]
        for one in body["flips"]
        for model in one["models"]
    ]
    head = ["Model", "Text", "Items", "Right only before", "Right only after"]
    lines = ["## Items that flipped", "", *table(head, rows, left=2), "", EXPLANATION, ""]
    for one in body["flips"]:
        lines += [_line(one["text"], item) for item in one["flipped"][:SHOWN]]
        if len(one["flipped"]) > SHOWN:
            more = counted(len(one["flipped"]) - SHOWN, "more item")
            lines.append(f"- report.json lists {more} of {escape(titles[one['text']])}.")
    return [*lines, ""]


def _line(text: str, item: dict[str, Any]) -> str:
    who = [f"lost by {escape(name)}" for name in item["lost_by"]] + [
        f"won by {escape(name)}" for name in item["won_by"]
    ]
    if kind_of(text) == CHOICES and item["choices"]:
        item_text = f"{escape(item['question'], LONGEST)} Right: {escape(item['choices'][item['answer']])}."
        chosen = dict.fromkeys(item["choices"][number] for number in item["chosen"].values())
        item_text += f" Before: {escape(item['choices'][item['unquantized']])}; after: {escape(', '.join(chosen))}."
    elif item["passage"]:
        context, _, word = item["passage"].rpartition(" ")
        tail = context if len(context) <= LONGEST else f"… {context[-LONGEST:]}"
        item_text = f"{escape(tail, 2 * LONGEST)} **{escape(word)}**"
    else:
        item_text = MISSING
    return f"- {item_text} ({'; '.join(who)})"
