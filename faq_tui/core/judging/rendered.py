"""Candidates as the target reads them, written for a worker child that marks them."""

from __future__ import annotations

import json
from pathlib import Path

from faq_tui.core.assembly import RefusedError, render_answered
from faq_tui.core.assembly.template import Template
from faq_tui.core.events import Note
from faq_tui.core.files import atomic_text
from faq_tui.core.judging.mark import Mark, OnMark
from faq_tui.core.stage import Context
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from faq_tui.core.target import TargetModel, find_target, load_tokenizer


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
            except RefusedError as refusal:
                on_mark(candidate, Mark(None, f"cannot be assembled: {refusal}", ""))
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
