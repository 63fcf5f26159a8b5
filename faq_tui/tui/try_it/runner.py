"""Ask models in a thread, and hand their messages to the screen."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from faq_tui.core.base.errors import FaqError
from faq_tui.core.run.run import Run
from faq_tui.core.trying.bench import TryBench, forget_log
from faq_tui.core.trying.models import TriedModel
from faq_tui.core.trying.request import TryRequest
from faq_tui.core.worker.forked import end_server

Message = tuple[str, dict[str, Any]]  # (name of a model, message about its answer)


class TrySource(Protocol):
    """Asks models, and collects their messages. Tests replace it."""

    @property
    def busy(self) -> bool: ...
    def ask(self, models: Sequence[TriedModel], request: TryRequest) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...
    def drain(self) -> list[Message]: ...


class TryRunner:
    """Asks the models of a run. No method blocks."""

    def __init__(self, run: Run, at_once: int | None = None) -> None:
        forget_log(run)
        self._bench = TryBench(run, at_once)
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def ask(self, models: Sequence[TriedModel], request: TryRequest) -> None:
        """Let the models answer. Call this only when all answers to an earlier prompt have ended."""
        self._thread = threading.Thread(target=self._ask, args=(list(models), request), name="try-it", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._bench.stop()

    def close(self) -> None:
        """End the answers, and free the memory of the models in a thread."""
        threading.Thread(target=self._close, name="try-close", daemon=True).start()

    def _close(self) -> None:
        self._bench.close()
        if self._thread is not None:
            self._thread.join()
        end_server()  # end the fork server, because it keeps torch in memory and nothing else in the app needs it

    def drain(self) -> list[Message]:
        """The messages since the last call, in order."""
        messages = []
        while True:
            try:
                messages.append(self._messages.get_nowait())
            except queue.Empty:
                return messages

    def _ask(self, models: list[TriedModel], request: TryRequest) -> None:
        try:
            self._bench.ask(models, request, lambda name, message: self._messages.put((name, message)))
        except FaqError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  any error must reach the screen
            problem = f"{type(error).__name__}: {error}"
        else:
            return
        for model in models:
            self._messages.put((model.name, {"kind": "failed", "message": problem}))
