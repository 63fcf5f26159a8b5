"""Worker children that take another task after their first one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.worker import child, forked, kept, parent
from faq_tui.core.worker.pool import Ended, WorkerPool
from tests.support.paths import ROOT

TASK = """
    import os

    def run(spec, send, cancel):
        print("out of", spec.get("name"), flush=True)
        exec(spec["do"])

    def other(spec, send, cancel):
        send("other", pid=os.getpid())
"""
PID = "send('pid', pid=os.getpid())"
START = """
    from faq_tui.core.worker import child
    child.TASKS |= {"made-up": "made_up_task:run", "another": "made_up_task:other"}
    child.cleaned_up = lambda: CLEANED_UP
    child.main()
"""
Call = Callable[..., int]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_task.py").write_text(textwrap.dedent(TASK))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))


@pytest.fixture
def started(task: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The pids of all started children. No child is forked."""
    monkeypatch.setattr(forked, "safe", lambda: False)
    pids: list[int] = []
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        code = textwrap.dedent(START).replace("CLEANED_UP", os.environ.get("CLEANED_UP", "True"))
        process = real([command[0], "-c", code, *command[3:]], **options)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    yield pids
    kept.end_kept()


@pytest.fixture
def work(started: list[int], tmp_path: Path) -> Call:
    def call(do: str = PID, task: str = "made-up", job: str = "1", keep: bool = True, **environment: str) -> int:
        """Run a task. Returns the pid that it sends."""
        found: list[int] = []
        log = tmp_path / job / "log.txt"
        spec = {"do": textwrap.dedent(do), "name": f"task {len(started)}"}
        parent.run_worker(
            task, spec, lambda message: found.append(message["pid"]), CancelToken(), log, environment, keep=keep
        )
        return found[-1] if found else 0

    return call


def test_a_child_takes_one_task_after_the_other(work: Call, started: list[int], tmp_path: Path) -> None:
    assert [work(), work(), work(task="another"), work()] == started * 4
    assert (tmp_path / "1" / "log.txt").read_text().count("out of task") == 3
    kept.end_kept()
    assert not alive(started[0])


def test_a_pool_gives_its_tasks_to_the_same_children(started: list[int], tmp_path: Path) -> None:
    with WorkerPool(tmp_path / "log.txt", CancelToken()) as pool:
        for number in range(3):
            for key in ("one", "two"):
                pool.start(key, "made-up", {"do": PID, "name": f"{key} {number}"}, {"CUDA_VISIBLE_DEVICES": key})
            ends = 0
            while ends < 2:
                _, what = pool.next()
                if isinstance(what, Ended):
                    assert what.error is None
                    ends += 1
    assert len(started) == 2


def test_a_child_that_failed_takes_no_further_task(work: Call, started: list[int]) -> None:
    first = work()
    with pytest.raises(FaqError, match="ValueError: odd"):
        work("raise ValueError('odd')")
    assert not alive(first) and work() == started[1] != first


def test_a_stopped_child_takes_no_further_task(work: Call, started: list[int], tmp_path: Path) -> None:
    first, cancel = work(), CancelToken()
    spec = {"do": PID + "\nwhile True: cancel.check()"}
    with pytest.raises(Stopped):
        parent.run_worker(
            "made-up", spec, lambda message: cancel.set(), cancel, tmp_path / "1" / "log.txt", {}, keep=True
        )
    assert not alive(first) and work() != first


def test_a_child_whose_task_finished_at_a_stop_is_ended(work: Call, started: list[int], tmp_path: Path) -> None:
    """The request to stop may have reached the child, so its next task would stop at once."""
    cancel = CancelToken()
    spec = {"do": PID + "\nimport time\nwhile not cancel.is_set: time.sleep(0.01)"}
    parent.run_worker(
        "made-up", spec, lambda message: cancel.set(), cancel, tmp_path / "1" / "log.txt", {}, keep=True
    )
    assert not alive(started[0]) and work() == started[1]


def test_a_child_that_was_killed_while_it_waited_is_replaced(work: Call, started: list[int]) -> None:
    os.kill(work(), signal.SIGKILL)
    while alive(started[0]):
        time.sleep(0.01)
    assert work() == started[1]


@pytest.mark.parametrize("other", [{"SOME_KEY": ""}, {"job": "2"}], ids=["another environment", "another log"])
def test_another_environment_or_log_gets_another_child(
    work: Call, started: list[int], other: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    assert work() != work(**other)
    assert not alive(started[0]), "the new child needs the memory"
    assert work(**other) == started[1]


def test_a_child_without_keep_ends_the_waiting_child_and_itself(work: Call, started: list[int]) -> None:
    assert work() != work(keep=False)
    assert not any(map(alive, started))


def test_a_child_that_cannot_clean_up_does_not_stay(
    work: Call, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANED_UP", "False")
    assert work() != work()
    assert not any(map(alive, started))


def test_a_waiting_child_ends_with_its_killed_parent(task: None, tmp_path: Path) -> None:
    program = f"""
        import os, subprocess, sys
        from pathlib import Path
        from faq_tui.core.base.cancel import CancelToken
        from faq_tui.core.worker import forked, parent
        real = subprocess.Popen
        code = {textwrap.dedent(START).replace("CLEANED_UP", "True")!r}
        subprocess.Popen = lambda command, **options: real([command[0], "-c", code, *command[3:]], **options)
        forked.safe = lambda: False
        hear = lambda message: print(message["pid"], flush=True)
        parent.run_worker("made-up", {{"do": {PID!r}}}, hear, CancelToken(), Path("log.txt").absolute(), keep=True)
        os.kill(os.getpid(), 9)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + 10
    while alive(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(int(done.stdout))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Gpus:
    """Stands for `torch.cuda` on a machine with two GPUs."""

    def __init__(self, used: bool = True, left: int = 0) -> None:
        self.is_initialized, self.device_count = (lambda: used), (lambda: 2)
        self.left, self.done = left, list[str]()

    def empty_cache(self) -> None:
        self.done.append("emptied")

    def memory_allocated(self, gpu: int) -> int:
        return self.left if gpu == 1 else 0

    def reset_peak_memory_stats(self, gpu: int) -> None:
        self.done.append(f"reset {gpu}")


@pytest.mark.parametrize(
    ("gpus", "stays"),
    [(Gpus(), True), (Gpus(used=False), False), (Gpus(left=child.LEFT_BYTES + 1), False)],
    ids=["clean", "no GPU was used", "memory is left"],
)
def test_only_a_child_with_a_clean_gpu_stays(gpus: Gpus, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=gpus))
    monkeypatch.delitem(sys.modules, "gptqmodel", raising=False)
    assert child.cleaned_up() == stays
    assert gpus.done == (["emptied", "reset 0", "reset 1"] if stays else gpus.done[:1])
    monkeypatch.setitem(sys.modules, "gptqmodel", SimpleNamespace())
    assert not child.cleaned_up(), "GPTQModel keeps threads and settings"
