"""`likelihood`: how probable the target itself finds a candidate. No judge server is needed.

The score is the mean log-probability (nats a token, so at most 0) of the candidate's reasoning and answer
under the target, given the question in the target's chat template.
"""

from __future__ import annotations

import json

from faq_tui.core.assembly import RefusedError, render_answered
from faq_tui.core.assembly.template import Template
from faq_tui.core.events import Note
from faq_tui.core.files import atomic_text
from faq_tui.core.judging.mark import Mark, OnMark
from faq_tui.core.stage import Context
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from faq_tui.core.target import find_target, load_tokenizer
from faq_tui.core.worker import run_worker


def mark_all(context: Context, items: list[tuple[Seed, Candidate]], on_mark: OnMark) -> None:
    """Mark every candidate in a worker child; each mark is handed over when it is there."""
    run = context.run
    target = find_target(run, lambda text: context.emit(Note(text)))
    template = Template(load_tokenizer(target))
    candidates = {candidate.id: candidate for _, candidate in items}
    path = run.cache / "likelihood.jsonl"
    with atomic_text(path) as file:
        for seed, candidate in items:
            try:
                rendered = render_answered(template, seed.messages, candidate.reasoning, candidate.answer)
            except RefusedError as refusal:
                on_mark(candidate, Mark(None, f"cannot be assembled: {refusal}", ""))
                continue
            spans = [span for span in (rendered.reasoning, rendered.answer) if span != (0, 0)]
            file.write(json.dumps({"id": candidate.id, "input_ids": rendered.ids, "spans": spans}) + "\n")

    def hear(message: dict[str, object]) -> None:
        if message["kind"] == "score":
            number, tokens = message["mean_logprob"], message["tokens"]
            mark = Mark(float(str(number)), f"mean log-probability over {tokens} tokens", json.dumps(message))
            on_mark(candidates[int(str(message["id"]))], mark)

    spec = {
        "model": target.path,
        "trust_remote_code": target.trust_remote_code,
        "device": target.device,
        "dtype": target.dtype,
        "items": str(path),
    }
    run_worker("likelihood", spec, hear, context.cancel, run.log(context.job))
    path.unlink(missing_ok=True)
