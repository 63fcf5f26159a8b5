"""Store the text of each token of held-out items, so that people can read the items."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from faq_tui.core.base.text import storable
from faq_tui.core.evaluation.heldout import Heldout, Item
from faq_tui.core.evaluation.kinds import ANSWERS, LABELLED
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.run.run import Run
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.measurements import replace_items

BROKEN = "\ufffd"
LONGEST_CHARACTER = 8  # a character consists of at most this number of tokens
CONTEXT = 400  # At most this many characters of context are stored before the predicted tokens.


def keep_words(run: Run, spec: Spec, tokenizer: Any) -> None:
    """Store the items of every unlabelled text as readable text.

    The items of a text with right answers (a labelled text) were already stored when the text was loaded.
    """
    readable = {name: text for name, text in spec.texts.items() if text.kind not in LABELLED}
    if answers := [answer for answer in spec.answers if answer.ids]:
        items = [Item((*a.prompt_ids, *a.ids), len(a.prompt_ids)) for a in answers]
        readable[ANSWERS] = Heldout(ANSWERS, items)
    questions = _questions(run)
    for name, text in readable.items():
        replace_items(run.store, name, text.digest, [_body(item, tokenizer, questions) for item in text.items])


def _questions(run: Run) -> dict[tuple[int, ...], str]:
    """The question of each held-out seed, keyed by the token ids of the seed's rendered prompt."""
    questions = {seed.id: seed.messages[-1]["content"] for seed in seed_rows.by_role(run.store, "heldout")}
    rows = run.store.db.execute("SELECT seed_id, prompt_ids FROM heldout_answers")
    return {
        tuple(json.loads(row["prompt_ids"])): questions[row["seed_id"]] for row in rows if row["seed_id"] in questions
    }


def _body(item: Item, tokenizer: Any, questions: dict[tuple[int, ...], str]) -> dict[str, Any]:
    before, predicted = item.ids[: item.first], item.ids[item.first :]
    body: dict[str, Any] = {"pieces": pieces(predicted, tokenizer, before[-1:])}
    if before in questions:
        return {"question": storable(questions[before]), **body}
    context = tokenizer.decode(list(before), skip_special_tokens=True)
    return {"context": storable(context[-CONTEXT:]), **body}


def pieces(ids: Sequence[int], tokenizer: Any, before: Sequence[int] = ()) -> list[str]:
    """The text of each token.

    If a character consists of several tokens, the text of its last token contains the character.

    Each token is decoded together with the token before it, because some tokenizers drop a leading space. `before`
    holds the tokens that precede `ids`.
    """
    texts: list[str] = []
    last, waiting = list(before), list[int]()
    for index, token in enumerate(ids):
        waiting.append(token)
        text = _decoded(tokenizer, [*last, *waiting])[len(_decoded(tokenizer, last)) :]
        if BROKEN in text and len(waiting) < LONGEST_CHARACTER and index < len(ids) - 1:
            texts.append("")
        else:
            texts.append(storable(text))
            last, waiting = waiting, []
    return texts


def _decoded(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)) if ids else ""
