"""The program of a task: run a worker child on this machine, and send its messages to the job."""

from __future__ import annotations

import secrets
import shutil
import socket
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faq_tui import __version__
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError, Stopped
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.log_tail import log_tail
from faq_tui.core.base.steps import WorkStep
from faq_tui.core.cluster.mailbox import Letter
from faq_tui.core.cluster.parcels import Listing, Parcel, delivered, listing, own_root, pieces
from faq_tui.core.cluster.places import PLACES, moved
from faq_tui.core.worker.parent import GRACE_S, run_worker

PLACED, STEPPED, ENDED = "placed", "stepped", "ended"  # kinds of messages that the worker child does not send
SEND_S = 0.2  # messages are sent together if they come within this time
LOG_LINES = 200


@dataclass(frozen=True)
class TaskOrder:
    """A task. `probe` is a file with the text `token`. If this machine sees it, it shares the run's folder."""

    key: str
    task: str
    spec: dict[str, Any]
    env: dict[str, str]
    log: str
    run: str
    probe: str
    token: str
    version: str
    parcels: dict[str, Parcel] | None = None  # the files of `inputs_of`, if not all machines share the run's folder


@dataclass(frozen=True)
class TaskResult:
    """The end of a task.

    `missing` is true if this machine does not see the run's folder and got no files. `out` is the path of the result
    on a shared folder. If the folder is not shared, `files` lists the files, and `pieces` has references to their
    content in the object store.
    """

    error: str = ""
    exit_code: int = 0
    missing: bool = False
    out: str = ""
    files: Listing | None = None
    pieces: tuple[Any, ...] = ()
    log: str = ""


def work(order: TaskOrder, mailbox: Any) -> TaskResult:
    """Run the task on this machine. The messages of the worker child go to the mailbox."""
    post = _Post(order.key, mailbox)
    try:
        return _work(order, post)
    finally:
        post.send({"kind": ENDED}, now=True)


def _work(order: TaskOrder, post: _Post) -> TaskResult:
    shared = _sees(order)
    if order.version != __version__:
        return TaskResult(_other_version(order.version), ExitCode.USAGE)
    if not shared and order.parcels is None:
        return TaskResult(missing=True)
    post.send({"kind": PLACED, "node": socket.gethostname()}, now=True)
    spec, log = (dict(order.spec), Path(order.log)) if shared else _fetched(order)
    key = PLACES[order.task].out
    if key and shared:  # an earlier attempt on a machine that seemed lost may still write to its own folder
        spec[key] = f"{order.spec[key]}.{secrets.token_hex(4)}"
    try:
        _run(order, spec, log, post)
    except FaqError as error:
        tail = "" if shared else "\n".join(log_tail(log, LOG_LINES))
        return TaskResult(str(error), int(error.exit_code), log=tail)
    out = str(spec[key]) if key else ""
    if shared or not out:
        return TaskResult(out=out)
    import ray

    files = listing(Path(out))
    return TaskResult(out=out, files=files, pieces=tuple(ray.put(piece) for piece in pieces(Path(out), files)))


def _sees(order: TaskOrder) -> bool:
    try:
        return Path(order.probe).read_text(encoding="utf-8") == order.token
    except OSError:
        return False


def _other_version(version: str) -> str:
    return (
        f"the machine {socket.gethostname()} of the cluster has faq-tui {__version__}, but the job has {version}: "
        "install the same version on all machines"
    )


def _fetched(order: TaskOrder) -> tuple[dict[str, Any], Path]:
    """Fetch the files of the task. Returns the spec with the paths of this machine, and the path of the log."""
    import ray

    assert order.parcels is not None
    root = own_root(order.run)
    here = {path: str(delivered(parcel, ray.get, root)) for path, parcel in order.parcels.items()}
    own = root / digest(order.key)
    shutil.rmtree(own / "out", ignore_errors=True)
    (own / "out").mkdir(parents=True)
    return moved(order.task, order.spec, here, own), own / "log.txt"


def _run(order: TaskOrder, spec: dict[str, Any], log: Path, post: _Post) -> None:
    """Run the worker child. Ray raises KeyboardInterrupt in this thread to stop the task."""
    cancel, failure = CancelToken(), list[BaseException]()

    def step(one: WorkStep) -> None:
        post.send({"kind": STEPPED, "step": asdict(one)})

    def run() -> None:
        try:
            run_worker(order.task, spec, post.send, cancel, log, order.env, step)
        except BaseException as error:  # noqa: BLE001  the error is raised again in the other thread
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True, name=f"worker {order.key}")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(SEND_S)
            post.flush()
    except KeyboardInterrupt:
        cancel.set()
        thread.join(GRACE_S + 5)
        raise Stopped("stopped by request; finished work is kept") from None
    if failure:
        raise failure[0]


class _Post:
    """Sends messages to the job. Several messages go together.

    The messages of one task arrive in order. This class does not wait for their arrival: while a task waits for Ray,
    Ray gives its processor to another task.
    """

    def __init__(self, key: str, mailbox: Any) -> None:
        self._key, self._mailbox = key, mailbox
        self._attempt = secrets.token_hex(8)
        self._waiting: list[Letter] = []
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any], now: bool = False) -> None:
        with self._lock:
            self._waiting.append((self._key, self._attempt, message))
        if now:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            letters, self._waiting = self._waiting, []
        if letters:
            self._mailbox.put.remote(letters)
