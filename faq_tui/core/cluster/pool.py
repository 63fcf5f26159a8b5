"""Run tasks on the machines of a cluster. All their messages arrive on one thread."""

from __future__ import annotations

import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from faq_tui import __version__
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError, Stopped, UsageError
from faq_tui.core.base.files import private, private_folder
from faq_tui.core.base.steps import WorkStep, report
from faq_tui.core.cluster.connection import ClusterNode, nodes_of
from faq_tui.core.cluster.mailbox import Letter, Mailbox
from faq_tui.core.cluster.node import ENDED, PLACED, STEPPED, TaskOrder, TaskResult, work
from faq_tui.core.cluster.parcels import Parcel, pack, unpack
from faq_tui.core.cluster.places import PLACES, inputs_of
from faq_tui.core.worker.pool import Ended, Message

WAIT_S = 0.2  # seconds that one question to the mailbox may take
LOOK_S = 2.0  # seconds between two looks at the machines, and at tasks that may have ended without a message
HEAD = "node:__internal_head__"  # a resource that only the first machine of a cluster has
STOP_S = 20.0  # seconds that the tasks have to stop


@dataclass(frozen=True)
class TaskNeeds:
    """What a task reserves on its machine."""

    cpus: float = 1
    gpus: float = 0
    memory: float = 0  # bytes; 0 if there is no estimate

    def fit(self, node: ClusterNode) -> bool:
        return self.cpus <= node.cpus and self.gpus <= node.gpus and self.memory <= node.memory


@dataclass
class _Task:
    order: TaskOrder
    needs: TaskNeeds
    reference: Any  # Ray's reference to the task's result
    attempt: str = ""  # name of the newest attempt
    attempts: int = 0  # number of attempts that began to work
    node: str = ""
    earlier: set[str] = field(default_factory=set)  # names of earlier attempts, whose machines were lost


class ClusterPool:
    """Runs tasks on a cluster. It has the methods of `WorkerPool`.

    All methods must be called by the same thread. Ray chooses the machine of each task and repeats the tasks of a
    lost machine. `say` gets a sentence about the cluster, and `on_nodes` gets the machines whenever they change.
    """

    def __init__(
        self,
        ray: Any,
        run: Path,
        log: Path,
        cancel: CancelToken,
        retries: int,
        say: Callable[[str], None],
        on_nodes: Callable[[list[ClusterNode]], None],
    ) -> None:
        self._ray, self._run, self._log, self._cancel = ray, run, log, cancel
        self._retries, self._say, self._on_nodes = retries, say, on_nodes
        self._tasks: dict[str, _Task] = {}
        self._letters: deque[Letter] = deque()
        self._nodes: list[ClusterNode] = []
        self._parcels: dict[str, Parcel] = {}
        self._shared = True  # False once a machine did not see the run's folder
        self._stopping: float | None = None
        self._looked = 0.0
        self._silent: set[str] = set()  # tasks that had ended at the last look
        self._token = secrets.token_hex(16)
        self._probe = run / ".cache" / f"probe-{self._token[:8]}"
        self._mailbox: Any = None
        self._remote: Any = None

    def __enter__(self) -> ClusterPool:
        private_folder(self._probe.parent)
        for old in self._probe.parent.glob("probe-*"):
            old.unlink(missing_ok=True)
        self._probe.write_text(self._token, encoding="utf-8")
        # If the head is lost, the whole cluster is lost. So the mailbox is never lost alone.
        place = {"num_cpus": 0, "resources": {HEAD: 0.001}, "max_concurrency": 1000}
        self._mailbox = self._ray.remote(Mailbox).options(**place).remote()
        self._remote = self._ray.remote(work)
        self._look_at_nodes()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):
            self._stop()
            self._ray.wait(
                [task.reference for task in self._tasks.values()], num_returns=len(self._tasks), timeout=STOP_S
            )
        self._probe.unlink(missing_ok=True)

    @property
    def has_gpus(self) -> bool:
        """True if a machine of the cluster has a GPU."""
        return any(node.gpus for node in self._nodes)

    @property
    def running(self) -> list[str]:
        """The keys of the tasks that have a machine, the oldest first."""
        return [key for key, task in self._tasks.items() if task.node]

    def start(
        self, key: str, task: str, spec: Message, env: Mapping[str, str], needs: TaskNeeds | None = None
    ) -> None:
        """Give a task to Ray. `key` identifies the task in the results of `next`.

        Raises UsageError if no machine of the cluster is large enough.
        """
        needs = needs or TaskNeeds()
        self._refuse_if_too_large(key, needs)
        order = TaskOrder(
            *(key, task, spec, dict(env), str(self._log), str(self._run), str(self._probe), self._token, __version__)
        )
        self._tasks[key] = _Task(order, needs, self._submit(order, needs))

    def next(self) -> tuple[str, Message | Ended]:
        """Wait for the next message of a task, or for the end of a task. Returns it with the task's key.

        The end of a task comes after all its messages. This method calls `report` with the reports on steps.
        """
        while True:
            if self._cancel.is_set and self._stopping is None:
                self._stop()
            while self._letters:
                found = self._open(*self._letters.popleft())
                if found is not None:
                    return found
            try:
                self._letters += self._ray.get(self._mailbox.take.remote(WAIT_S))
            except self._ray.exceptions.RayError as error:
                raise FaqError(
                    f"the connection to the cluster was lost ({_short(error)}): finished work is kept, "
                    "run the same command again"
                ) from None
            if not self._letters and time.monotonic() - self._looked > LOOK_S:
                self._look_at_nodes()
                self._find_silent()

    def _submit(self, order: TaskOrder, needs: TaskNeeds) -> Any:
        if not self._shared:
            order = replace(order, parcels=self._packed(order))
        options: dict[str, Any] = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "max_retries": self._retries}
        if needs.memory:
            options["memory"] = int(needs.memory)
        return self._remote.options(**options, name=order.key).remote(order, self._mailbox)

    def _packed(self, order: TaskOrder) -> dict[str, Parcel]:
        for path in inputs_of(order.task, order.spec):
            if path not in self._parcels:
                self._parcels[path] = pack(Path(path), self._ray.put)
        return {path: self._parcels[path] for path in inputs_of(order.task, order.spec)}

    def _open(self, key: str, attempt: str, message: Message) -> tuple[str, Message | Ended] | None:
        """Handle one message. Returns it unless it is old or only a report."""
        task = self._tasks.get(key)
        if task is None or attempt in task.earlier:
            return None  # a machine that seemed lost still works
        if attempt != task.attempt:
            task.earlier.add(task.attempt)
            task.attempt = attempt
        if message["kind"] == STEPPED:
            report(WorkStep(**message["step"]))
            return None
        if message["kind"] == PLACED:
            task.node, task.attempts = message["node"], task.attempts + 1
            message = {**message, "attempt": task.attempts}
        if message["kind"] == ENDED:
            return self._end(key)
        return key, message

    def _find_silent(self) -> None:
        """Find tasks that ended without a last message: their machines were lost too often, or they never began.

        The last messages may still be on their way. So a task that had a machine is ended at the second look.
        """
        keys = {task.reference: key for key, task in self._tasks.items()}
        if not keys:
            return
        ready, _ = self._ray.wait(list(keys), num_returns=len(keys), timeout=0, fetch_local=False)
        ended = {keys[reference] for reference in ready}
        for key in ended:
            if key in self._silent or not self._tasks[key].node:
                self._letters.append((key, self._tasks[key].attempt, {"kind": ENDED}))
        self._silent = ended

    def _end(self, key: str) -> tuple[str, Ended] | None:
        """Take the result of a task. Returns None if the task was given to Ray again."""
        task = self._tasks[key]
        try:
            result: TaskResult = self._ray.get(task.reference)
            if result.missing:
                self._send_files(task)
                return None
            error = self._take(task, result)
        except self._ray.exceptions.TaskCancelledError:
            error = Stopped("stopped by request; finished work is kept")
        except self._ray.exceptions.RayTaskError as failure:  # an error that no worker child reports
            with open(self._log, "a", encoding="utf-8", errors="replace", opener=private) as file:
                file.write(f"{failure}\n")
            error = FaqError(f"{key} failed on its machine ({_last_line(failure)}): see the output in {self._log}")
        except self._ray.exceptions.RayError as failure:
            error = FaqError(f"{key} was lost with its machine more than {self._retries} times ({_short(failure)})")
        del self._tasks[key]
        if self._stopping is not None and error is not None:
            error = Stopped("stopped by request; finished work is kept")
        return key, Ended(error)

    def _send_files(self, task: _Task) -> None:
        if self._shared:
            self._shared = False
            self._say(
                f"not all machines of the cluster see {self._run}, so files go through Ray's object store: a folder "
                "that all machines share is faster"
            )
        task.reference = self._submit(task.order, task.needs)

    def _take(self, task: _Task, result: TaskResult) -> FaqError | None:
        """Move the task's files to their place. Returns the task's error."""
        if result.log:
            with open(self._log, "a", encoding="utf-8", errors="replace", opener=private) as file:
                file.write(f"{result.log}\n")
        if result.error:
            kinds = {ExitCode.USAGE: UsageError, ExitCode.STOPPED: Stopped}
            return kinds.get(ExitCode(result.exit_code), FaqError)(result.error)
        if not result.out:
            return None
        out = Path(task.order.spec[PLACES[task.order.task].out])
        if result.files is None:
            shutil.rmtree(out, ignore_errors=True)
            Path(result.out).rename(out)
        else:
            unpack(out, result.files, (self._ray.get(piece) for piece in result.pieces))
        return None

    def _stop(self) -> None:
        self._stopping = time.monotonic()
        for task in self._tasks.values():
            self._ray.cancel(task.reference, force=False)

    def _look_at_nodes(self) -> None:
        self._looked = time.monotonic()
        now = nodes_of(self._ray)
        if now != self._nodes:
            self._nodes = now
            self._on_nodes(now)

    def _refuse_if_too_large(self, key: str, needs: TaskNeeds) -> None:
        if self._nodes and not any(needs.fit(node) for node in self._nodes):
            memory = f", {needs.memory / (1 << 30):.1f} GiB of memory" if needs.memory else ""
            raise UsageError(
                f"{key} needs {needs.cpus:g} CPU, {needs.gpus:g} GPU{memory}, but no machine of the cluster has it: "
                f"{', '.join(node.in_words() for node in self._nodes)}: add a larger machine, or change the recipe"
            )


def _last_line(error: BaseException) -> str:
    """The last line of the error's text, which is the exception of the task."""
    return (str(error).strip().splitlines() or [""])[-1][:200]


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
