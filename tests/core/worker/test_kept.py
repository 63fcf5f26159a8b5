"""Worker children that take another task after their first one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.benchmarking.guard import guarded
from faq_tui.core.extensions import METHODS
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import open_run
from faq_tui.core.stages import pools
from faq_tui.core.worker import child, forked, kept, parent
from faq_tui.core.worker.pool import Ended, WorkerPool
from tests.support.paths import ROOT

TASK = """
    import os

    def run(spec, send, cancel):
        print("out of", spec.get("name"))
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
        if command[1:3] != ["-m", "faq_tui.core.worker"]:
            return real(command, **options)
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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_was_ended_while_it_waited_is_replaced(
    work: Call, started: list[int], number: signal.Signals
) -> None:
    os.kill(work(), number)
    wait_for_end(started[0])
    assert work() == started[1]


def test_a_child_that_got_sigterm_near_the_end_of_its_task_takes_no_further_task(
    work: Call, started: list[int]
) -> None:
    """Another program sent the signal, so no stop was requested, and the next task must not stop."""
    assert work(PID + "\nimport signal; os.kill(os.getpid(), signal.SIGTERM)") == started[0]
    assert work() == started[1]


def test_the_output_of_a_task_is_in_the_log_when_the_task_has_finished(
    work: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    work()
    assert "out of task 0" in (tmp_path / "1" / "log.txt").read_text()


def test_a_child_whose_cleaning_fails_has_finished_its_task(
    work: Call, started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some errors of CUDA, every further call of CUDA fails."""
    monkeypatch.setenv("CLEANED_UP", "1 / 0")
    assert work() == started[0] != work()
    assert "ZeroDivisionError" in (tmp_path / "1" / "log.txt").read_text()


def test_all_waiting_children_are_asked_to_end_before_one_is_waited_for(
    started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LEAVING_S", 60.0)
    with WorkerPool(tmp_path / "log.txt", CancelToken()) as pool:
        for key in ("one", "two"):
            pool.start(key, "made-up", {"do": PID}, {"CUDA_VISIBLE_DEVICES": key})
        while pool.running:
            pool.next()
    stopped, other = (worker.child.pid for worker in kept._waiting)
    os.kill(stopped, signal.SIGSTOP)
    wait_until(lambda: state(stopped) == "T")
    ending = threading.Thread(target=kept.end_kept)
    ending.start()
    try:
        wait_for_end(other)
    finally:
        os.kill(stopped, signal.SIGCONT)
        ending.join()
    assert not any(map(alive, started))


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
    wait_for_end(int(done.stdout))


def wait_for_end(pid: int) -> None:
    wait_until(lambda: not alive(pid))


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert reached()


def test_a_waiting_child_ends_before_a_program_that_may_need_the_gpu(
    work: Call, started: list[int], tmp_path: Path
) -> None:
    code = f"import os; print(os.path.exists('/proc/{work()}'))"
    with guarded([sys.executable, "-c", code], tmp_path / "program.txt", {}, tmp_path) as guard:
        guard.wait(30)
    assert (tmp_path / "program.txt").read_text() == "False\n"


def test_a_waiting_child_ends_before_the_machines_of_a_cluster_get_tasks(
    work: Call, started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, found = work(), list[bool]()

    def connected(address: str) -> Any:
        found.append(alive(pid))
        raise FaqError("no cluster")

    monkeypatch.setattr(pools, "connected", connected)
    (tmp_path / "faq.toml").write_text(
        '[target]\nmodel = "x"\n[seeds]\npath = "starter"\n[cluster]\naddress = "auto"\n'
    )
    with open_run(tmp_path) as run, pytest.raises(FaqError, match="no cluster"), ExitStack() as resources:
        pools.pool_for(Context(run=run, emit=lambda _: None, cancel=CancelToken(), job="1", resources=resources))
    assert found == [False]


def alive(pid: int) -> bool:
    return state(pid) not in ("", "Z")


def state(pid: int) -> str:
    """The letter of the process's state in proc(5); "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Gpus:
    """Stands for `torch.cuda` on a machine with two GPUs."""

    def __init__(self, used: bool = True, left: int = 0, peak: int = 1) -> None:
        self.is_initialized, self.device_count = (lambda: used), (lambda: 2)
        self.left, self.peak, self.done = left, peak, list[str]()

    def max_memory_allocated(self, gpu: int) -> int:
        return self.peak if gpu == 1 else 0

    def empty_cache(self) -> None:
        self.done.append("emptied")

    def memory_allocated(self, gpu: int) -> int:
        return self.left if gpu == 1 else 0

    def empty_host_cache(self) -> None:
        self.done.append("emptied host")

    def reset_peak_memory_stats(self, gpu: int) -> None:
        self.done.append(f"reset {gpu}")


@pytest.mark.parametrize(
    ("gpus", "stays"),
    [(Gpus(), True), (Gpus(used=False), False), (Gpus(peak=0), False), (Gpus(left=child.LEFT_BYTES + 1), False)],
    ids=["clean", "CUDA was not started", "the task used the processor", "memory is left"],
)
def test_only_a_child_with_a_clean_gpu_stays(gpus: Gpus, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch, gpus)
    assert child.cleaned_up() == stays
    assert gpus.done == (["emptied", "emptied host", "reset 0", "reset 1"] if stays else gpus.done[:2])


@pytest.mark.parametrize("name", ["gptqmodel", "transformers_modules.my_model.9d8c.modeling_mine"])
def test_a_child_that_ran_code_which_changes_the_process_does_not_stay(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in(monkeypatch, Gpus())
    assert child.cleaned_up()
    monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    assert not child.cleaned_up()


def test_a_child_that_ran_a_method_of_another_package_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch, Gpus())
    METHODS.get("gptq")
    assert child.cleaned_up()
    monkeypatch.setitem(METHODS._loaded, "of_another_package", SimpleNamespace())
    assert not child.cleaned_up()


def put_in(monkeypatch: pytest.MonkeyPatch, gpus: Gpus) -> None:
    torch = SimpleNamespace(cuda=gpus, _C=SimpleNamespace(_host_emptyCache=gpus.empty_host_cache))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(METHODS, "_loaded", {})
    for name in list(sys.modules):
        if name.partition(".")[0] in child.CHANGES_PROCESS:
            monkeypatch.delitem(sys.modules, name)
