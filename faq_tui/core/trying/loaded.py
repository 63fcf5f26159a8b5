"""The parent's side of the task `try`: a worker child that keeps one model loaded and answers prompts with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.files import atomic_text
from faq_tui.core.trying.request import TryRequest
from faq_tui.core.worker import run_worker

Hear = Callable[[dict[str, Any]], None]
PATIENCE_S = 1.0  # seconds after a stop until the child process is ended if the answer still continues
LAST = ("answered", "failed", "stopped")  # the messages that end an answer


class LoadedModel:
    """A worker child with one model. `answer` starts the child, and starts it again after it has ended."""

    def __init__(self, spec: Mapping[str, Any], log: Path, env: dict[str, str]) -> None:
        """`spec` holds the entries of `task.run`, except `inbox`."""
        self._spec, self._log, self._env = dict(spec), log, env
        self._lock = threading.Lock()
        self._cancel = CancelToken()
        self._inbox: TemporaryDirectory[str] | None = None
        self._thread: threading.Thread | None = None
        self._number = 0  # number of the next prompt
        self._hear: Hear = lambda _message: None
        self._loaded: dict[str, Any] | None = None  # the child's message `loaded`
        self._ended = threading.Event()  # this event is set while no answer is generated
        self._ended.set()

    @property
    def is_open(self) -> bool:
        """True if the child runs, so that its model takes memory."""
        return self._thread is not None and self._thread.is_alive()

    def answer(self, request: TryRequest, hear: Hear, stopped: Callable[[], bool] = lambda: False) -> None:
        """Answer one prompt, and return when the answer has ended.

        `hear` gets the messages. The calling thread and the thread that watches the child both call `hear`. If the
        model must be loaded, the first message is `loading`. `task.run` describes the other messages. If the answer
        fails, the last message is `failed`. After a call of `stop`, the last message is `answered` or `stopped`.

        `stopped` returns True if the person asked for a stop before this answer began.
        """
        with self._lock:
            if self._cancel.is_set and self._thread is not None:
                self._thread.join()  # the old child is about to end and cannot answer
            self._hear = hear
            self._ended.clear()
            if stopped():
                hear({"kind": "stopped"})
                self._ended.set()
                return
            if not self.is_open:
                self._open()
            elif self._loaded is not None:
                hear(self._loaded)
            number, self._number = self._number, self._number + 1
        assert self._inbox is not None
        with atomic_text(Path(self._inbox.name) / f"{number}.json") as file:
            json.dump(request.to_json(), file)
        self._ended.wait()

    def stop(self) -> None:
        """End the present answer at once. If the child reacts in time, its model stays loaded."""
        if self._ended.is_set() or self._inbox is None:
            return
        if self._loaded is None:
            self._cancel.set()
            return
        mark = Path(self._inbox.name) / f"{self._number - 1}.stop"
        if mark.exists():
            return
        with suppress(FileNotFoundError):  # the child has just ended, and its folder is gone
            mark.touch()
        cancel, ended = self._cancel, self._ended

        def end() -> None:
            if not ended.is_set():
                cancel.set()

        timer = threading.Timer(PATIENCE_S, end)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """End the child, and return when its memory is free."""
        self._cancel.set()
        if self._thread is not None:
            self._thread.join()

    def _open(self) -> None:
        self._number, self._loaded = 0, None
        self._cancel = CancelToken()
        self._inbox = TemporaryDirectory(prefix="faq-tui-try-")
        self._thread = threading.Thread(
            target=self._work, args=(self._cancel, self._inbox), name="try-model", daemon=True
        )
        self._hear({"kind": "loading"})  # from this call on, `stop` ends the new child
        self._thread.start()

    def _work(self, cancel: CancelToken, inbox: TemporaryDirectory[str]) -> None:
        last: dict[str, Any] = {"kind": "stopped"}
        try:
            with inbox:
                run_worker("try", {**self._spec, "inbox": inbox.name}, self._take, cancel, self._log, self._env)
        except Stopped:
            pass
        except FaqError as error:
            last = {"kind": "failed", "message": str(error)}
        except Exception as error:  # noqa: BLE001  without a last message, the caller would wait without end
            last = {"kind": "failed", "message": f"{type(error).__name__}: {error}"}
        self._loaded = None
        if not self._ended.is_set():
            self._hear(last)
            self._ended.set()

    def _take(self, message: dict[str, Any]) -> None:
        if message["kind"] == "loaded":
            self._loaded = message
        if message.get("number", self._number - 1) != self._number - 1:
            return  # a late message about an earlier answer
        self._hear(message)
        if message["kind"] in LAST:
            self._ended.set()
