"""Ask several models the same prompt: side by side if they fit into memory together, else one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.models.memory_need import GPU_BESIDE, HOST_BESIDE
from faq_tui.core.models.target import TargetModel, find_target
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Settings
from faq_tui.core.stages.memory_check import target_memory
from faq_tui.core.trying.loaded import LoadedModel
from faq_tui.core.trying.models import TriedModel
from faq_tui.core.trying.request import TryRequest
from faq_tui.core.trying.through_server import ask_server
from faq_tui.core.worker.parent import without_keys

JOB = "try"  # the folder under jobs/ that holds the log of the worker children and of the servers
Hear = Callable[[str, dict[str, Any]], None]


def asks_server(settings: Settings) -> bool:
    """True if [evaluate.serve] has a command. The command starts a server, which answers instead of a worker child.

    `faq-tui init` writes this section without a command.
    """
    return "command" in settings.evaluate.serve.model_fields_set


def room_for(run: Run) -> int:
    """The number of models of the target's size that fit into the free memory together, at least 1.

    An artefact takes the same memory as the target, because its weights are dense after loading. The result is 1 if
    the target's size is not known yet.
    """
    memory = target_memory(run)
    if memory is None:
        return 1
    rooms = [1 << 10]
    if memory.host is not None:
        rooms.append(memory.host // (memory.need.whole + HOST_BESIDE))
    if memory.gpu is not None:
        rooms.append(memory.gpu // (memory.need.whole + GPU_BESIDE))
    return max(1, min(rooms))


class TryBench:
    """Asks models. After an answer, a model stays loaded as long as the memory suffices.

    `ask` blocks until all answers have ended; `stop` and `close` may be called in another thread meanwhile.
    """

    def __init__(self, run: Run, at_once: int | None = None) -> None:
        """`at_once` limits the number of models that answer side by side; None means that the memory decides."""
        self.run, self._at_once = run, at_once
        self._target: TargetModel | None = None
        self._models: dict[str, LoadedModel] = {}
        self._cancel = CancelToken()
        self._closed = False
        self._lock = threading.Lock()  # a thread holds this lock while it calls `hear`

    def ask(self, models: Sequence[TriedModel], request: TryRequest, hear: Hear) -> None:
        """Let every model answer. `hear` gets a model's name and a message; `TriedAnswer.take` applies such messages.

        The models answer in the given order, or side by side. If one model fails, `hear` gets its message `failed`,
        and the other models still answer. Raises FaqError if the target is not found.
        """
        request.check()
        self._cancel = CancelToken()
        if self._target is None:
            self._target = find_target(self.run, lambda _sentence: None)
        if asks_server(self.run.settings):
            self._through_servers(self._target, models, request, hear)
            return
        try:
            self._in_children(models, request, hear)
        finally:
            if self._closed:
                self._close(list(self._models))

    def _in_children(self, models: Sequence[TriedModel], request: TryRequest, hear: Hear) -> None:
        asked = {model.name for model in models}
        self._close(name for name in list(self._models) if name not in asked)
        new = [model for model in models if not self._is_open(model.name)]
        room = room_for(self.run) if self._at_once is None else self._at_once
        if len(new) <= room:
            self._side_by_side(models, request, hear)
        else:
            self._close(list(self._models))
            for model in models:
                self._answer(model, request, hear)
                self._close([model.name])

    def stop(self) -> None:
        """End all answers at once. Models that are loaded stay loaded."""
        self._cancel.set()
        for model in list(self._models.values()):
            model.stop()

    def close(self) -> None:
        """End all answers and the worker children, so that the memory of the models is free."""
        self._closed = True
        self._cancel.set()
        self._close(list(self._models))

    def _is_open(self, name: str) -> bool:
        return name in self._models and self._models[name].is_open

    def _side_by_side(self, models: Sequence[TriedModel], request: TryRequest, hear: Hear) -> None:
        threads = [
            threading.Thread(target=self._answer, args=(model, request, hear), name=f"try-{model.name}", daemon=True)
            for model in models
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _answer(self, model: TriedModel, request: TryRequest, hear: Hear) -> None:
        def hear_one(message: dict[str, Any]) -> None:
            with self._lock:
                hear(model.name, message)

        if self._cancel.is_set or self._closed:
            hear_one({"kind": "stopped"})
            return
        try:
            model.check()
        except FaqError as error:
            hear_one({"kind": "failed", "message": str(error)})
            return
        loaded = self._models.setdefault(model.name, self._new(model))
        loaded.answer(request, hear_one, lambda: self._cancel.is_set or self._closed)

    def _new(self, model: TriedModel) -> LoadedModel:
        assert self._target is not None
        folder = None if model.folder is None else str(model.folder)
        spec = {**self._target.spec, "name": self._target.name, "folder": folder}
        return LoadedModel(spec, self.run.log(JOB), without_keys(self.run.settings))

    def _close(self, names: Any) -> None:
        for model in [self._models.pop(name) for name in list(names) if name in self._models]:
            model.close()

    def _through_servers(
        self, target: TargetModel, models: Sequence[TriedModel], request: TryRequest, hear: Hear
    ) -> None:
        """A server such as vLLM takes most of the memory, so only one server runs at a time."""
        for model in models:

            def hear_one(message: dict[str, Any], name: str = model.name) -> None:
                hear(name, message)

            try:
                self._cancel.check()
                model.check()
                ask_server(self.run, target, model, request, hear_one, self._cancel, JOB)
            except Stopped:
                hear_one({"kind": "stopped"})
            except FaqError as error:
                hear_one({"kind": "failed", "message": str(error)})


def forget_log(run: Run) -> None:
    """Remove the log of earlier tries."""
    with suppress(OSError):
        run.log(JOB).unlink()
