"""The worker child's task `evaluate`: measure one model after the other on all held-out texts.

The task sends the messages `environment`, `plan`, `answers`, `progress` and `measurement`. `plan` holds the total
number of tokens and the number of processed tokens. The tokens of held-out answers are not counted while they are
generated: a generated token takes much longer than a token that is read, so a mean of both would give a wrong time
left. The message `progress` names their number. `plan` is sent again when all held-out answers exist. The task
sends one message `answers` for each batch of answers, and one message `measurement` for each pair of a model and a
text.
"""

from __future__ import annotations

import gc
import json
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.steps import TOKENS, step
from faq_tui.core.evaluation import greedy_answers
from faq_tui.core.evaluation.answers import generate
from faq_tui.core.evaluation.compare import encode_token_kl, measure
from faq_tui.core.evaluation.environment import dense_bytes, stored_bits
from faq_tui.core.evaluation.heldout import Heldout, shared_rows
from faq_tui.core.evaluation.identity import UNQUANTIZED, measurement_signature
from faq_tui.core.evaluation.kinds import ANSWERS, GREEDY
from faq_tui.core.evaluation.log_probs import LogProbs, SpareMemory
from faq_tui.core.evaluation.metrics import Metric
from faq_tui.core.evaluation.reference import open_reference, reference_path, writing
from faq_tui.core.evaluation.spec import Spec
from faq_tui.core.evaluation.token_columns import encode_entropies
from faq_tui.core.extensions import METRICS
from faq_tui.core.models.backbone import Backbone
from faq_tui.core.models.devices import device_name, device_of, dtype_name
from faq_tui.core.models.hub import local_folder
from faq_tui.core.models.memory_need import LAYERS, no_memory_for_answers
from faq_tui.core.models.opening import Opening

Send = Callable[..., None]

WRITING = "writing the held-out answers"


def run(spec: dict[str, Any], send: Send, cancel: CancelToken) -> None:
    """Make the measurements that the `Spec` in the file `spec["order"]` describes.

    The measurements that the `Spec` lists as stored are not repeated.
    """
    order = Spec.from_json(json.loads(Path(spec["order"]).read_text(encoding="utf-8")))
    device = device_of(order.device)
    folder = local_folder(order.model)
    dtype = dtype_name(order.dtype, device, folder, order.trust_remote_code)
    sizes = {"weight_bytes": dense_bytes(folder), "bits": stored_bits(folder)}
    send("environment", device=device, device_name=device_name(device), dtype=dtype, **sizes)
    try:
        _Evaluation(order, folder, device, dtype, send, cancel).run()
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # torch's message if main memory is full
            raise MemoryError from error
        raise


class Unreadable(FaqError):
    """Raised if a model folder cannot be loaded."""


@dataclass
class _Evaluation:
    order: Spec
    folder: Path
    device: str
    dtype: str
    send: Send
    cancel: CancelToken
    texts: dict[str, Heldout] = field(default_factory=dict)
    total: int = 0
    done: int = 0
    # the target's log-probabilities on each held-out text
    log_probs: dict[str, LogProbs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spare = SpareMemory(self.device)

    def run(self) -> None:
        self.texts = dict(self.order.texts)
        self._unquantized()
        unreadable: list[str] = []
        for subject, (_, folder) in self.order.subjects.items():
            if subject != UNQUANTIZED:
                try:
                    self._artefact(subject, Path(folder))
                except Unreadable as error:  # the other artefacts are evaluated before the task fails
                    unreadable.append(str(error))
        if unreadable:
            others = "; all others are evaluated" if len(unreadable) < len(self.order.subjects) - 1 else ""
            raise FaqError(f"{'; '.join(unreadable)}{others}")

    def _unquantized(self) -> None:
        """Generate the target's missing answers, measure the target, and store its states for the artefacts."""
        model = None
        if self.order.missing_answers:
            self._plan(self._unread_answers())
            model = self._answering_model(self.folder)
            self._answer(model)
        if self.order.answers:
            self.texts[ANSWERS] = Heldout(ANSWERS, self.order.answer_items())
        self._forget_old_references()
        unmeasured, lost = self._todo(UNQUANTIZED), self._lost_references()
        todo = [text for text in self.texts if text in unmeasured or text in lost]
        self._plan(sum(self._size(text) for text in todo if text not in unmeasured))
        if GREEDY in todo:
            todo.remove(GREEDY)
            model = self._answering_model(self.folder) if model is None else model
            answers = self._greedy(UNQUANTIZED, model)
            greedy_answers.keep_answers(self._greedy_path(), answers)
            if GREEDY in unmeasured:
                self._say(UNQUANTIZED, GREEDY, greedy_answers.columns(answers, answers, model))
        if not todo:
            return
        if self.order.read == LAYERS:
            model = None  # free the model that wrote the answers
        cut = self._open(UNQUANTIZED, self.folder) if model is None else Backbone(model)
        self._prepare(cut, todo)
        for text in todo:
            items, tick = self.texts[text].items, self._tick(f"{UNQUANTIZED} on {text}")
            path = self._reference_path(text)
            entropies: dict[int, list[float]] | None = {} if self.texts[text].compared else None
            with writing(path, items, cut.head) if self.texts[text].compared else nullcontext() as keep:
                sums = measure(
                    cut,
                    items,
                    self.order.batch_size,
                    self.cancel,
                    tick,
                    keep=keep,
                    metrics=self._metrics(text),
                    log_probs=self._log_probs(UNQUANTIZED, text),
                    entropies=entropies,
                )
            if text in unmeasured:
                self._say(UNQUANTIZED, text, sums, token_entropy=encode_entropies(entropies) if entropies else None)

    def _artefact(self, subject: str, folder: Path) -> None:
        todo, model = self._todo(subject), None
        if GREEDY in todo:
            todo.remove(GREEDY)
            target = greedy_answers.kept_answers(self._greedy_path(), len(self.texts[GREEDY].items))
            if target is None:
                raise self._deleted(self._greedy_path())
            model = self._answering_model(folder)
            answers = self._greedy(subject, model)
            self._say(subject, GREEDY, greedy_answers.columns(answers, target, model))
        if not todo:
            return
        if self.order.read == LAYERS:
            model = None  # free the model that wrote the answers
        cut = self._open(subject, folder) if model is None else Backbone(model)
        self._prepare(cut, todo)
        for text in todo:
            items, compared = self.texts[text].items, self.texts[text].compared
            reference = open_reference(self._reference_path(text), items, self.device) if compared else None
            if reference is None and compared:
                raise self._deleted(self._reference_path(text))
            tick = self._tick(f"{subject} on {text}")
            token_kl: dict[int, list[float]] = {}
            differs: dict[int, list[bool]] = {}

            def each(
                index: int, kl: list[float], other: list[bool], kls: Any = token_kl, others: Any = differs
            ) -> None:
                kls[index], others[index] = kl, other

            sums = measure(
                cut,
                items,
                self.order.batch_size,
                self.cancel,
                tick,
                reference,
                each=each,
                metrics=self._metrics(text),
                log_probs=self._log_probs(subject, text),
            )
            self._say(subject, text, sums, encode_token_kl(token_kl, differs) if compared else None)

    def _answer(self, model: Any) -> None:
        missing = [answer for answer in self.order.answers if not answer.ids]
        generated, most = 0, len(missing) * self.order.answer_tokens

        def tick(tokens: int) -> None:
            nonlocal generated
            generated += tokens
            progress.advance(generated, most)

        def on_answers(batch: dict[int, list[int]]) -> None:
            for index, ids in batch.items():
                missing[index].ids = ids
            self.send("answers", answers=[asdict(missing[index]) for index in batch])

        prompts = [tuple(answer.prompt_ids) for answer in missing]
        with step(WRITING, TOKENS) as progress:
            generate(model, prompts, self.order.answer_tokens, self.order.batch_size, self.cancel, on_answers, tick)

    def _greedy(self, subject: str, model: Any) -> greedy_answers.Answers:
        tick = self._tick(f"greedy answers of {subject}")
        return greedy_answers.write_answers(model, self.texts[GREEDY], self.order.batch_size, self.cancel, tick)

    def _greedy_path(self) -> Path:
        return greedy_answers.answers_path(Path(self.order.cache), self._signature(UNQUANTIZED, GREEDY))

    def _deleted(self, path: Path) -> FaqError:
        return FaqError(f"{path} was deleted during the evaluation: run the stage evaluate again")

    def _signature(self, subject: str, text: str) -> str:
        identity, _ = self.order.subjects[subject]
        return measurement_signature(identity, self.texts[text].digest, self.dtype, self.device)

    def _todo(self, subject: str) -> list[str]:
        stored = self.order.stored.get(subject, {})
        return [text for text in self.texts if stored.get(text) != self._signature(subject, text)]

    def _metrics(self, text: str) -> list[Metric]:
        """The metrics that are measured on this text and have a token column."""
        metrics = [METRICS.get(name) for name in self.order.metrics]
        return [metric for metric in metrics if self.texts[text].kind in metric.kinds]

    def _log_probs(self, subject: str, text: str) -> LogProbs | None:
        """The target's log-probabilities on this text, shared by several models.

        Returns None if no other model needs the log-probabilities.

        The last model that needs the log-probabilities removes them from `self.log_probs`.
        """
        subjects = list(self.order.subjects)
        later = subjects[subjects.index(subject) + 1 :]
        if self.texts[text].compared and any(text in self._todo(other) for other in later):
            return self.log_probs.setdefault(text, LogProbs(self.spare))
        return self.log_probs.pop(text, None)

    def _size(self, text: str) -> int:
        return self.texts[text].size

    def _unread_answers(self) -> int:
        """The number of tokens that all models will read in the held-out answers.

        The length of a missing answer is not known, so it counts as the longest possible answer.
        """
        longest = self.order.answer_tokens
        rows = sum(len(answer.prompt_ids) + (len(answer.ids) or longest) for answer in self.order.answers)
        return rows * len(self.order.subjects)

    def _plan(self, more: int) -> None:
        """Send the total number of tokens, and the number of tokens that are already processed.

        The total is the sum of the processed tokens, the tokens of missing measurements, and `more` other tokens.
        """
        missing = sum(self._size(text) for subject in self.order.subjects for text in self._todo(subject))
        whole = sum(self._size(text) for text in self.texts) * len(self.order.subjects)
        self.total = self.done + missing + more
        self.send("plan", total=self.total, done=self.done, already=whole - missing)

    def _tick(self, detail: str) -> Callable[[int], None]:
        def tick(tokens: int) -> None:
            self.done += tokens
            self.send("progress", done=self.done, total=self.total, detail=detail)

        return tick

    def _reference_path(self, text: str) -> Path:
        return reference_path(Path(self.order.cache), self._signature(UNQUANTIZED, text))

    def _lost_references(self) -> set[str]:
        """The texts on which an artefact must still be measured, but for which the target's file is missing.

        This file holds the target's states, or its greedy answers.
        """
        artefacts = [subject for subject in self.order.subjects if subject != UNQUANTIZED]
        needed = {text for subject in artefacts for text in self._todo(subject)}
        lost = {
            text
            for text in needed
            if self.texts[text].compared
            and open_reference(self._reference_path(text), self.texts[text].items, "cpu") is None
        }
        if GREEDY in needed and greedy_answers.kept_answers(self._greedy_path(), len(self.texts[GREEDY])) is None:
            lost.add(GREEDY)
        return lost

    def _forget_old_references(self) -> None:
        current = {self._reference_path(text) for text in self.texts}
        stored = set(Path(self.order.cache, "reference").glob("*.safetensors"))
        if GREEDY in self.texts:
            current.add(self._greedy_path())
        for path in (stored | set(Path(self.order.cache, "greedy").glob("*.json"))) - current:
            path.unlink(missing_ok=True)

    def _say(
        self,
        subject: str,
        text: str,
        sums: dict[str, list[float]],
        token_kl: bytes | None = None,
        token_entropy: bytes | None = None,
    ) -> None:
        self.send(
            "measurement",
            subject=subject,
            text=text,
            signature=self._signature(subject, text),
            items=self.texts[text].finished(sums),
            token_kl=_as_text(token_kl),
            token_entropy=_as_text(token_entropy),
        )

    @cached_property
    def opening(self) -> Opening:
        import torch

        order, check = self.order, self.cancel.check
        return Opening.of(
            self.folder, self.device, getattr(torch, self.dtype), order.trust_remote_code, order.read, check
        )

    def _answering_model(self, folder: Path) -> Any:
        """Load a whole model.

        Raises FaqError if the target does not fit into memory, because answers cannot be generated layer by layer.
        """
        self._free()
        if self.opening.need is not None and not self.opening.fits():
            sampled, greedy = self.order.missing_answers > 0, GREEDY in self.texts
            raise FaqError(no_memory_for_answers(self.opening.need, sampled, greedy))
        return _read(folder, self.opening.whole)

    def _open(self, subject: str, folder: Path) -> Backbone:
        def on_layer(index: int, layers: int) -> None:
            detail = f"{subject}: layer {index + 1} of {layers}"
            self.send("progress", done=self.done, total=self.total, detail=detail)

        self._free()
        backbone: Backbone = _read(folder, replace(self.opening, on_layer=on_layer).backbone)
        return backbone

    def _prepare(self, cut: Backbone, todo: list[str]) -> None:
        """Compute the states of all texts at once if the model is read layer by layer."""
        # The last token is not an input, because it predicts nothing.
        texts = [self.texts[text].items for text in todo]
        cut.prepare([items[index].ids[:-1] for items in texts for index in shared_rows(items)])

    def _free(self) -> None:
        """Free the previous model's memory."""
        import torch

        self.cancel.check()
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()


def _read(folder: Path, read: Callable[[Path], Any]) -> Any:
    """Read the model folder with the function `read`. Raises Unreadable if this fails."""
    if not folder.is_dir():
        raise Unreadable(f"no model folder at {folder}: run quantize again")
    try:
        return read(folder)
    except (FaqError, KeyError, ValueError, OSError) as error:
        if isinstance(error, Stopped):
            raise
        if isinstance(error, FaqError):
            raise Unreadable(str(error)) from error
        reason = " ".join(str(error).split())[:200]
        raise Unreadable(f"{folder} cannot be read ({reason}): run quantize again") from error


def _as_text(blob: bytes | None) -> str | None:
    return None if blob is None else b64encode(blob).decode("ascii")
