"""The worker child: its messages, its errors, and how each kind of death is told."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped, UsageError
from faq_tui.core.base.process import NICENESS
from faq_tui.core.base.steps import WorkStep, reported_to
from faq_tui.core.worker import forked, kept, parent
from tests.support.paths import ROOT

TASK = """
    import os, signal, sys, time
    from faq_tui.core.base.errors import UsageError

    def run(spec, send, cancel):
        print("out of the child", flush=True)
        os.write(2, b"native noise\\n")
        send("pid", pid=os.getpid())
        exec(spec["do"])
"""


@pytest.fixture(params=["child", "fork_server", "kept"])
def work(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs `do` as the body of a task in a real child, which is started, forked, or kept from an earlier task.

    Returns (messages, log).
    """
    program, keep = ("child", True) if request.param == "kept" else (request.param, False)
    (tmp_path / "made_up_task.py").write_text(textwrap.dedent(TASK))
    (tmp_path / "start.py").write_text(
        "from faq_tui.core.worker import child, fork_server\n"
        "child.TASKS['made-up'] = 'made_up_task:run'\n"
        "fork_server.import_libraries = lambda: None\n"
        f"child.cleaned_up = lambda: {keep}\n"
        f"{program}.main()\n"
    )
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        assert command[1:3] == ["-m", {"child": "faq_tui.core.worker"}.get(program, f"faq_tui.core.worker.{program}")]
        path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        return real(
            [command[0], str(tmp_path / "start.py"), *command[3:]], **{**options, "env": options["env"] | path}
        )

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(forked, "safe", lambda: program == "fork_server")
    monkeypatch.setattr(forked, "enough_memory", lambda: True)
    monkeypatch.setattr(forked, "_server", None)  # not the server of other tests, which has imported torch
    log, messages = tmp_path / "log.txt", list[dict[str, Any]]()

    def call(do: str, cancel: CancelToken | None = None, on_message: Any = messages.append) -> Any:
        spec = {"do": textwrap.dedent(do)}
        if keep:
            parent.run_worker("made-up", {"do": "pass"}, lambda message: None, CancelToken(), log, keep=True)
            log.write_text("")
        parent.run_worker("made-up", spec, on_message, cancel or CancelToken(), log, keep=keep)
        return messages, log.read_text()

    yield call
    forked.end_server()
    kept.end_kept()


def test_messages_arrive_in_order_and_noise_goes_to_the_log(work: Any) -> None:
    messages, log = work("for n in range(2000):\n    send('count', n=n, text='é\\n' * 40)")
    assert [m["n"] for m in messages if m["kind"] == "count"] == list(range(2000))
    assert "out of the child" in log and "native noise" in log


def test_the_log_has_all_warnings_but_one_about_enums(work: Any) -> None:
    _, log = work(
        """
        import logging
        logger = logging.getLogger("torch.utils._pytree")
        logger.warning("%s: Calling register_constant() on Enum subclasses is deprecated and will be an error", dict)
        logger.warning("%s is not registered", dict)
        logging.getLogger("torch").warning("Calling register_constant() on Enum subclasses is deprecated, too")
        """
    )
    assert "<class 'dict'> is not registered" in log and "deprecated, too" in log
    assert "will be an error" not in log


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="the kernel groups no processes by session")
def test_it_gives_way_to_this_process(work: Any) -> None:
    ours = Path("/proc/self/autogroup").read_text()
    messages, _log = work("send('nice', own=os.nice(0), group=open('/proc/self/autogroup').read())")
    told = next(m for m in messages if m["kind"] == "nice")
    assert told["own"] == os.nice(0) + NICENESS
    assert told["group"].split()[-1] == str(NICENESS)
    assert Path("/proc/self/autogroup").read_text() == ours, "the session of the screen is left as it is"


def test_a_process_that_a_task_forks_ends_on_sigterm(work: Any) -> None:
    messages, _log = work(
        """
        ready, started = os.pipe()
        forked = os.fork()
        if not forked:
            os.write(started, b"1")
            time.sleep(3)
            os._exit(0)
        os.read(ready, 1)
        os.kill(forked, signal.SIGTERM)  # multiprocessing.Pool ends its processes in this way
        send("ended", by=os.WTERMSIG(os.waitpid(forked, 0)[1]))
        """
    )
    assert messages[-1] == {"kind": "ended", "by": 15}


def test_its_own_errors_come_as_they_are(work: Any) -> None:
    with pytest.raises(UsageError, match=r"^that is wrong: mend it$"):
        work("raise UsageError('that is wrong: mend it')")


def test_other_errors_name_the_log_where_the_traceback_is(work: Any, tmp_path: Path) -> None:
    with pytest.raises(FaqError, match=r"made-up failed with ValueError: odd; see the output in .*log\.txt"):
        work("raise ValueError('odd')")
    assert "Traceback" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("raise MemoryError", "ran out of memory"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate')", "ran out of memory"),
        (
            "raise RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate')",
            "ran out of memory",
        ),
        ('raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")', "ran out of memory"),
        (
            "sys.stdout = sys.stderr = open('/dev/full', 'w', 1)\nraise OSError(28, 'no room')",
            "no space left while writing",
        ),
        ("os.close(int(sys.argv[2]))\ntime.sleep(0.3)\nos._exit(7)", r"ended unexpectedly \(exit status 7\)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by the system, probably because memory was full"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"ended unexpectedly \(exit status -11\)"),
        ("os._exit(7)", r"ended unexpectedly \(exit status 7\)"),
        ("os._exit(0)", r"ended unexpectedly \(exit status 0\)"),
    ],
)
def test_each_death_is_told(work: Any, do: str, said: str) -> None:
    with pytest.raises(FaqError, match=said):
        work(do)


def test_a_stop_reaches_the_task(work: Any) -> None:
    cancel = CancelToken()
    with pytest.raises(Stopped):
        work("while True:\n    cancel.check()\n    time.sleep(0.01)", cancel, lambda message: cancel.set())


def test_a_task_deaf_to_a_stop_is_killed_after_the_grace(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "GRACE_S", 0.3)
    cancel, began = CancelToken(), time.monotonic()
    with pytest.raises(Stopped):
        work("time.sleep(60)", cancel, lambda message: cancel.set())
    assert time.monotonic() - began < 10


def test_a_listener_that_fails_takes_the_child_along(work: Any) -> None:
    pids: list[int] = []

    def hear(message: dict[str, Any]) -> None:
        pids.append(message["pid"])
        raise FaqError("no space left")

    with pytest.raises(FaqError, match="no space left"):
        work("time.sleep(60)", None, hear)
    assert not alive(pids[0])


def test_the_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """No orphan keeps a GPU: stdin, the lifeline, ends with the parent however it dies."""
    program = """
        import os, subprocess, sys
        read, write = os.pipe()
        child = subprocess.Popen(
            [sys.executable, "-c", "from faq_tui.core.worker.child import follow_lifeline as f; import time; f();"
             "print('up', flush=True); time.sleep(60)"],
            stdin=subprocess.PIPE, stdout=write, start_new_session=True)
        assert os.fdopen(read).readline() == "up\\n"
        print(child.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=30)
    deadline = time.monotonic() + 5
    while alive(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(int(done.stdout))


def alive(pid: int) -> bool:
    """Running: neither gone nor a zombie that nobody reaps here."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_steps_reach_the_listener_of_the_parent_and_not_the_task(work: Any) -> None:
    seen: list[WorkStep] = []
    with reported_to(seen.append):
        messages, _ = work(
            "from faq_tui.core.base.steps import step\n"
            "with step('loading a model'):\n"
            "    with step('downloading m', 'bytes', at_once=False) as progress:\n"
            "        progress.advance(2, 3)\n"
        )
    assert [message["kind"] for message in messages] == ["pid"]
    assert seen == [
        WorkStep("loading a model"),
        WorkStep("downloading m", 2, 3, "bytes"),
        WorkStep("downloading m", 2, 3, "bytes", ended=True),
        WorkStep("loading a model", ended=True),
    ]
