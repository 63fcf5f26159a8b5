"""Generate candidates with a model on this machine: a worker process generates them, and this process stores them."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.chat.dialects import ReasoningStream, split_reply
from faq_tui.core.endpoints import Reply
from faq_tui.core.regenerating.candidate_requests import (
    PendingCandidate,
    RequestPolicy,
    better_candidate,
    next_request,
    question_for,
)
from faq_tui.core.regenerating.recorder import CandidateRecorder
from faq_tui.core.run.events import CandidateDelta, CandidateStarted, Note
from faq_tui.core.settings import EMBEDDED
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.worker import run_worker
from faq_tui.core.worker.parent import without_keys

DIALECT = "local"  # the dialect that is stored for replies of a local model

# Maps the number `order` of each candidate to the candidate's request. The worker uses `order` as the candidate's id.
Requests = dict[int, tuple[PendingCandidate, RequestPolicy]]


class LocalGenerator:
    """Generates and stores all pending candidates of one local source."""

    def __init__(self, recorder: CandidateRecorder) -> None:
        self.recorder, self.source, self.context = recorder, recorder.source, recorder.context
        self._repeated: Requests = {}  # the requests of the next round
        self._first: dict[int, Candidate] = {}  # unusable candidates for which a second request was made
        self._splits: dict[int, ReasoningStream] = {}

    def __call__(self, pending: list[PendingCandidate]) -> None:
        """Generate and store all pending candidates.

        Raises UsageError if there is no such model. Raises FaqError if the worker fails, and Stopped if the run is
        stopped.
        """
        requests = {one.order: (one, one.first_request(self.source)) for one in pending}
        while requests:
            self._repeated = {}
            self._round(requests)
            requests = self._repeated

    def _round(self, requests: Requests) -> None:
        """Start one worker process, which answers all requests."""
        run, target = self.context.run, self.context.run.settings.target
        # other processes may generate other candidates of this source
        path = run.cache / f"generate-{self.recorder.name}-{secrets.token_hex(4)}.jsonl"
        with atomic_text(path) as file:
            for order, (pending, policy) in requests.items():
                question = question_for(pending.seed, self.source)
                body = {
                    "id": order,
                    "messages": question.messages,
                    "template": question.extra.get("chat_template_kwargs", {}),
                    "seed": policy.sampling_seed,
                    "max_tokens": policy.max_tokens,
                }
                file.write(json.dumps(body) + "\n")
        spec = {
            "model": self._folder(),
            "trust_remote_code": target.trust_remote_code,
            "device": target.device,
            "dtype": target.dtype,
            "items": str(path),
            "sampling": self.source.sampling.neutral(),
            "batch": self.source.concurrency,
        }
        try:
            run_worker(
                "generate",
                spec,
                lambda message: self._on_message(message, requests),
                self.context.cancel,
                run.log(self.context.job),
                without_keys(run.settings),
            )
        finally:
            path.unlink(missing_ok=True)

    def _folder(self) -> str:
        """The model's folder, or a hub id if the source uses the target.

        Raises UsageError if there is no such model.
        """
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
            f"sources.{self.recorder.name}.model {model}: there is no Hugging Face model folder at {folder}; "
            'name such a folder, or "target"'
        )

    def _on_message(self, message: dict[str, Any], requests: Requests) -> None:
        """Handle one message of the worker. `local_task.run` lists the messages."""
        kind, emit = message["kind"], self.context.emit
        if kind == "note":
            emit(Note(str(message["text"]), "warning"))
            return
        pending, policy = requests[int(message["id"])]
        who = (pending.seed.id, self.recorder.name, pending.number)
        if kind == "started":
            self._splits[pending.order] = ReasoningStream()
            emit(CandidateStarted(*who))
        elif kind == "delta":
            reasoning, answer = self._splits[pending.order].feed(str(message["text"]))
            if reasoning or answer:
                emit(CandidateDelta(*who, reasoning, answer))
        elif kind == "refused":
            self.recorder.fail(pending, str(message["why"]), 1)
        elif kind == "done":
            reply, limit = _reply_of(message), int(message["max_tokens"])
            self._keep_or_repeat(pending, policy, self.recorder.candidate(pending, reply, policy, limit, 1))

    def _keep_or_repeat(self, pending: PendingCandidate, policy: RequestPolicy, candidate: Candidate) -> None:
        """Store the candidate, or request it a second time if it is unusable and the source's policy asks for this.

        After a second request, the better one of the two candidates is stored.
        """
        first = self._first.pop(pending.order, None)
        best = candidate if first is None else replace(better_candidate(first, candidate), requests=2)
        again = next_request(self.source, policy, candidate)
        if again is not None and again.max_tokens > policy.max_tokens > (candidate.max_tokens or 0):
            again = None  # there is no second request, because the model's window has no room for a longer answer
        if again is None:
            self.recorder.keep(best, pending.replaces)
            return
        self._first[pending.order] = best
        self._repeated[pending.order] = pending, again
        self.recorder.repeat(pending, again)


def _reply_of(message: dict[str, Any]) -> Reply:
    reasoning, answer, closed = split_reply(str(message["text"]))
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
