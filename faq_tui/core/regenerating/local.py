"""A source whose model is loaded here: the worker child writes, this side stores and tells as for any server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.chat.dialects import ReasoningStream, split_reasoning
from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.candidate_requests import PendingCandidate, question_for
from faq_tui.core.regenerating.recorder import (
    CandidateRecorder,
    RequestPolicy,
    better_candidate,
    first_request,
    next_request,
)
from faq_tui.core.run.events import CandidateDelta, CandidateRetried, CandidateStarted, Note
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

DIALECT = "local"  # written here: no server's dialect lies between


class LocalGenerator:
    """All the candidates of one local source."""

    def __init__(self, keeper: CandidateRecorder) -> None:
        self.keeper, self.source, self.context = keeper, keeper.source, keeper.context
        self._first: dict[int, Candidate] = {}  # unfit ones that are asked for once more

    def __call__(self, wanted: list[PendingCandidate]) -> None:
        """Write all of them. Raises UsageError (no such model), FaqError or Stopped; what is finished is stored."""
        asks = [(w, first_request(self.source, w.number)) for w in wanted]
        while asks:
            asks = self._round(asks)

    def _round(
        self, asks: list[tuple[PendingCandidate, RequestPolicy]]
    ) -> list[tuple[PendingCandidate, RequestPolicy]]:
        """Returns what has to be asked for once more."""
        run, target = self.context.run, self.context.run.settings.target
        by_order = {wanted.order: (wanted, ask) for wanted, ask in asks}
        path = run.cache / f"generate-{self.keeper.name}.jsonl"
        with atomic_text(path) as file:
            for wanted, ask in asks:
                question = question_for(wanted.seed, self.source)
                body = {
                    "id": wanted.order,
                    "messages": question.messages,
                    "template": question.extra.get("chat_template_kwargs", {}),
                    "seed": ask.sampling_seed,
                    "max_tokens": ask.max_tokens,
                }
                file.write(json.dumps(body) + "\n")
        spec = {
            "model": self._folder(),
            "trust_remote_code": target.trust_remote_code,
            "device": target.device,
            "dtype": target.dtype,
            "items": str(path),
            "sampling": self.source.sampling.model_dump(),
            "batch": self.source.concurrency,
        }
        hearing = _WorkerMessages(self, by_order)
        run_worker(
            "generate", spec, hearing, self.context.cancel, run.log(self.context.job), without_keys(run.settings)
        )
        path.unlink(missing_ok=True)
        return hearing.again

    def _folder(self) -> str:
        """The folder, or the hub id of the target."""
        run, model = self.context.run, self.source.model
        if model == EMBEDDED:
            from faq_tui.core.embedded import ensure_model

            return str(ensure_model(lambda text: self.context.emit(Note(text))).folder)
        folder = run.resolve(model)
        if (folder / "config.json").is_file():
            return str(folder)
        if model == run.settings.target.model and not Path(model).is_absolute():
            return model
        raise UsageError(
            f"sources.{self.keeper.name}.model {model}: no Hugging Face model folder at {folder}; "
            'a local source names one, or "target"'
        )

    def settle(
        self, wanted: PendingCandidate, ask: RequestPolicy, found: Candidate
    ) -> tuple[PendingCandidate, RequestPolicy] | None:
        first = self._first.pop(wanted.order, None)
        best = found if first is None else replace(better_candidate(first, found), requests=2)
        again = next_request(self.source, ask, found)
        if again is None or (found.max_tokens or 0) < ask.max_tokens <= again.max_tokens != ask.max_tokens:
            self.keeper.keep(best)
            return None
        self._first[wanted.order] = best
        retried = CandidateRetried(wanted.seed.id, self.keeper.name, wanted.number, 1, 0.0, again.again)
        self.context.emit(retried)
        return wanted, again


class _WorkerMessages:
    """Takes the worker's messages."""

    def __init__(self, asking: LocalGenerator, by_order: dict[int, tuple[PendingCandidate, RequestPolicy]]) -> None:
        self.asking, self.by_order = asking, by_order
        self.again: list[tuple[PendingCandidate, RequestPolicy]] = []
        self._split: dict[int, ReasoningStream] = {}

    def __call__(self, message: dict[str, Any]) -> None:
        kind, emit, keeper = message["kind"], self.asking.context.emit, self.asking.keeper
        if kind == "note":
            emit(Note(str(message["text"]), "warning"))
            return
        wanted, ask = self.by_order[int(message["id"])]
        who = (wanted.seed.id, keeper.name, wanted.number)
        if kind == "started":
            self._split[wanted.order] = ReasoningStream()
            emit(CandidateStarted(*who))
        elif kind == "delta":
            thought, said = self._split[wanted.order].feed(str(message["text"]))
            if thought or said:
                emit(CandidateDelta(*who, thought, said))
        elif kind == "refused":
            keeper.fail(wanted, str(message["why"]), 1)
        elif kind == "done":
            found = keeper.candidate(wanted, _reply_of(message), ask, int(message["max_tokens"]), 1)
            again = self.asking.settle(wanted, ask, found)
            if again is not None:
                self.again.append(again)


def _reply_of(message: dict[str, Any]) -> Reply:
    reasoning, answer, closed = split_reasoning(str(message["text"]))
    return Reply(
        reasoning=reasoning,
        answer=answer,
        finish_reason=str(message["finish_reason"]),
        closed=closed,
        prompt_tokens=int(message["prompt_tokens"]),
        completion_tokens=int(message["completion_tokens"]),
        seconds=float(message["seconds"]),
        dialect=DIALECT,
    )
