"""Run a worker's task that measures how the target reads each sample of a set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faq_tui.core.assembly.sample import Sample
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.chat.token_kinds import ANSWER, KINDS, REASONING
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.worker import run_for_job

REPLY = {KINDS.index(REASONING), KINDS.index(ANSWER)}


def ask_target(
    context: Context, target: TargetModel, task: str, samples: Sequence[Sample], what: str, **more: Any
) -> dict[str, Any]:
    """Run the worker's task on the samples, and return its message of the kind `order`.

    The task's spec has the keys `model`, `trust_remote_code`, `device`, `dtype`, `read`, `modules`, `rows`, and those
    of `more`. `rows` is a file with one line for each sample: a JSON list of two lists. The first list holds the
    token ids. The second list holds the positions of the tokens of reasoning and answer. `what` is a phrase for what
    the task measures. Raises the errors of the task, and FaqError if the task ends without the message `order`.
    """
    run = context.run
    path = run.cache / f"{task}.jsonl"
    with atomic_text(path) as file:
        for sample in samples:
            reply = [position for position, kind in enumerate(sample.kinds) if kind in REPLY]
            file.write(json.dumps([sample.input_ids, reply]) + "\n")
    messages: list[dict[str, Any]] = []
    spec = {
        **target.spec,
        "modules": list(run.settings.activations.modules),
        "rows": str(path),
        **more,
    }
    context.emit(Note(f"measuring {what} ({len(samples)} samples)"))
    try:
        run_for_job(context, task, spec, messages.append)
    finally:
        path.unlink(missing_ok=True)
    result = next((message for message in messages if message["kind"] == "order"), None)
    if result is None:
        raise FaqError(f"the target's activations could not be measured: the details are in {run.log(context.job)}")
    return result


def read_rows(path: str) -> tuple[list[list[int]], list[list[int]]]:
    """Read the file `rows` that `ask_target` has written.

    Returns two lists with one entry for each row. The first list holds the token ids of the row. The second list
    holds the positions of the reply's tokens.
    """
    with Path(path).open(encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    return [ids for ids, _ in pairs], [reply for _, reply in pairs]
