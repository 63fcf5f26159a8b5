"""The parent's side of layer errors: which artefacts lack them, and on what text."""

from __future__ import annotations

import json
from typing import Any

from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import UNQUANTIZED, evaluation_hash, subjects
from faq_tui.core.evaluation.kinds import ANSWERS
from faq_tui.core.evaluation.spec import prose_window
from faq_tui.core.evaluation.texts import load_head
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.run.run import Run
from faq_tui.core.store.activations import LayerErrors, add_layer_errors, all_layer_errors
from faq_tui.core.store.measurements import heldout
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

VERSION = 1
Rows = list[list[int]]


def layer_error_limit(run: Run) -> int:
    """Tokens of held-out text on which layers are compared; 0: they are not."""
    settings = run.settings.activations
    return settings.layer_error_tokens if settings.enabled else 0


def measure_layer_errors(context: Context, target: TargetModel, tokenizer: Any) -> None:
    """Store each artefact's layer errors that are missing or out of date; a failure is a warning, no more."""
    run, limit = context.run, layer_error_limit(context.run)
    if not limit:
        return
    text, rows = _rows(context, target, tokenizer, limit)
    if not rows:
        return
    what = digest(VERSION, rows, target.device, target.dtype)
    wanted = {name: digest(what, identity) for name, identity in subjects(run).items() if name != UNQUANTIZED}
    there = all_layer_errors(run.store)
    todo = [name for name, signature in wanted.items() if name not in there or there[name].signature != signature]
    if not todo:
        return
    order = run.cache / "layer-error.json"
    with atomic_text(order) as file:
        json.dump(rows, file)
    spec = {
        "model": target.path,
        "trust_remote_code": target.trust_remote_code,
        "device": target.device,
        "dtype": target.dtype,
        "rows": str(order),
        "out": str(run.cache / "layer-error.npy"),
        "subjects": {name: str(run.models / name) for name in todo},
    }

    def hear(message: dict[str, Any]) -> None:
        subject, tokens = message["subject"], sum(len(row) - 1 for row in rows)
        add_layer_errors(run.store, LayerErrors(subject, wanted[subject], text, tokens, message["errors"]))

    try:
        run_worker("layer_error", spec, hear, context.cancel, run.log(context.job), without_keys(run.settings))
    except Stopped:
        raise
    except FaqError as error:
        context.emit(Note(f"the errors of the layers' outputs are not measured: {error}", "warning"))
    finally:
        order.unlink(missing_ok=True)


def _rows(context: Context, target: TargetModel, tokenizer: Any, limit: int) -> tuple[str, Rows]:
    """(name of the text, whole rows of it up to `limit` tokens): held-out answers, or else prose."""
    run, settings = context.run, context.run.settings.evaluate
    answers = [[*one.prompt_ids, *one.answer_ids] for one in heldout(run.store, evaluation_hash(run)).values()]
    if answers:
        return ANSWERS, _head(answers, limit)
    for name in settings.perplexity:
        ids = list(tokenizer(load_head(run, name), add_special_tokens=False, verbose=False)["input_ids"])[:limit]
        window = prose_window(run, target)
        return name, _head([ids[start : start + window] for start in range(0, len(ids), window)], limit)
    return "", []


def _head(rows: Rows, limit: int) -> Rows:
    kept: Rows = []
    for row in rows:
        if len(row) > 1 and (not kept or sum(map(len, kept)) + len(row) <= limit):
            kept.append(row[:limit])
    return kept
