"""Candidates as the target reads them, written for a worker child that marks them."""

from __future__ import annotations

import json
from pathlib import Path

from faq_tui.core.base.files import atomic_text
from faq_tui.core.chat.render import render_answered
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.judging.score import OnMark, Score
from faq_tui.core.models.target import TargetModel, find_target
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed


def target_of(context: Context) -> tuple[TargetModel, Template]:
    """The run's target and its template, a download told of in notes."""
    target = find_target(context.run, lambda text: context.emit(Note(text)))
    return target, Template(load_tokenizer(target))


def write_items(path: Path, template: Template, items: list[tuple[Seed, Candidate]], on_mark: OnMark) -> None:
    """A line each: id, input_ids, spans {reasoning, answer} in tokens. What the template refuses is unscored."""
    with atomic_text(path) as file:
        for seed, candidate in items:
            try:
                rendered = render_answered(template, seed.messages, candidate.reasoning, candidate.answer)
            except NotAssembledError as refusal:
                on_mark(candidate, Score(None, f"cannot be assembled: {refusal}", ""))
                continue
            spans = {"reasoning": rendered.reasoning, "answer": rendered.answer}
            file.write(json.dumps({"id": candidate.id, "input_ids": rendered.ids, "spans": spans}) + "\n")


def spec_of(target: TargetModel) -> dict[str, object]:
    """What a worker needs to load it."""
    return {
        "model": target.path,
        "trust_remote_code": target.trust_remote_code,
        "device": target.device,
        "dtype": target.dtype,
    }
