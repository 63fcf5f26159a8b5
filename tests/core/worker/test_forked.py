"""The fork server: what its children share with children that are started anew, and when it is not used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.worker import forked, parent
from tests.support.paths import ROOT

TASK = """
    import json, os, sys

    def run(spec, send, cancel):
        print("out of the child", flush=True)
        exec(spec["do"])
"""
ABOUT = """
    send(
        "about", pid=os.getpid(), parent=os.getppid(), session=os.getsid(0), folder=os.getcwd(), argv=sys.argv,
        environment=dict(os.environ), fds=sorted(os.listdir("/proc/self/fd")), nice=os.nice(0),
        threads=len(os.listdir("/proc/self/task")), preloaded="preloaded" in sys.modules,
    )
"""
# A program: its fork server sleeps instead of importing, and this process is killed in the end.
KILLED = """
    import os, subprocess, sys, threading
    from pathlib import Path
    from faq_tui.core.base.cancel import CancelToken
    from faq_tui.core.worker import forked, parent

    real = subprocess.Popen

    def start(command, **options):
        code = (
            "import os, sys, time\\n"
            "from faq_tui.core.worker import child, fork_server\\n"
            "child.TASKS['made-up'] = 'made_up_task:run'\\n"
            "fork_server.import_libraries = lambda: [print(os.getpid(), flush=True), time.sleep(IMPORT_S)]\\n"
            "fork_server.main()\\n"
        )
        return real([command[0], "-c", code.replace("IMPORT_S", sys.argv[2]), *command[3:]], **options)

    def kill(*_):
        os.kill(os.getpid(), 9)

    subprocess.Popen = start
    forked.safe = forked.enough_memory = lambda: True
    if sys.argv[2] != "0":
        threading.Timer(2, kill).start()
    spec = {"do": "print(os.getpid(), flush=True)\\nsend('here')\\nimport time; time.sleep(60)"}
    parent.run_worker("made-up", spec, kill, CancelToken(), Path(sys.argv[1]))
"""
LIMIT_S = 30  # seconds after which a worker counts as hanging
Call = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_task.py").write_text(textwrap.dedent(TASK))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))


@pytest.fixture
def programs(task: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The modules that were started as programs. Their fork server imports a small module in place of torch."""
    (tmp_path / "preloaded.py").write_text("import os, time\ntime.sleep(float(os.environ.get('IMPORT_S', 0)))\n")
    started: list[str] = []
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        program = {"faq_tui.core.worker": "child"}.get(command[2], command[2].rpartition(".")[2])
        started.append(program)
        code = (
            "from faq_tui.core.worker import child, fork_server\n"
            "child.TASKS['made-up'] = 'made_up_task:run'\n"
            "fork_server.import_libraries = lambda: __import__('preloaded')\n"
            f"{program}.main()\n"
        )
        return real([command[0], "-c", code, *command[3:]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(forked, "safe", lambda: True)
    monkeypatch.setattr(forked, "enough_memory", lambda: True)
    monkeypatch.setattr(forked, "_failed", False)
    monkeypatch.setattr(forked, "_server", None)
    yield started
    forked.end_server()


@pytest.fixture
def work(programs: list[str], tmp_path: Path) -> Call:
    def call(do: str, job: str = "1", cancel: CancelToken | None = None, **environment: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        spec, log = {"do": textwrap.dedent(do)}, tmp_path / "jobs" / job / "log.txt"
        parent.run_worker("made-up", spec, messages.append, cancel or CancelToken(), log, environment)
        return messages

    return call


def test_one_server_forks_one_child_after_the_other(work: Call, programs: list[str], tmp_path: Path) -> None:
    first, second = work(ABOUT, "1")[0], work(ABOUT, "2")[0]
    assert programs == ["fork_server"]
    assert first["parent"] == second["parent"] and first["pid"] != second["pid"]
    assert first["preloaded"] and second["preloaded"]
    assert [said["folder"] for said in (first, second)] == [str(tmp_path / "jobs" / job) for job in ("1", "2")]
    assert (tmp_path / "jobs" / "2" / "log.txt").read_text() == "out of the child\n"


def test_a_server_can_be_started_before_the_first_child(work: Call, programs: list[str], tmp_path: Path) -> None:
    parent.prepare_worker(tmp_path / "jobs" / "0" / "log.txt")
    assert programs == ["fork_server"]
    first = work(ABOUT, "1")[0]
    parent.prepare_worker(tmp_path / "jobs" / "0" / "log.txt")
    assert programs == ["fork_server"] and first["preloaded"] and first["parent"] != os.getpid()
    assert first["folder"] == str(tmp_path / "jobs" / "1")
    assert (tmp_path / "jobs" / "0" / "log.txt").read_text() == ""


@pytest.mark.parametrize("lacking", ["safe", "enough_memory"])
def test_a_server_that_cannot_be_used_is_not_started_before_the_first_child(
    programs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    monkeypatch.setattr(forked, lacking, lambda: False)
    parent.prepare_worker(tmp_path / "log.txt")
    assert programs == []


def test_a_forked_child_is_like_a_started_one(work: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    made = work(ABOUT, SOME_KEY="")[0]
    monkeypatch.setattr(forked, "safe", lambda: False)
    started = work(ABOUT, SOME_KEY="")[0]
    assert made["preloaded"] and not started["preloaded"]
    assert made["session"] == made["pid"] and started["session"] == started["pid"]
    for name in ("environment", "nice", "folder", "threads"):
        assert made[name] == started[name], name
    assert len(made["fds"]) == len(started["fds"]), (made["fds"], started["fds"])
    assert made["argv"][1] == started["argv"][1] == "made-up"


def test_another_environment_gets_another_server(work: Call, programs: list[str]) -> None:
    """The server's memory holds its environment, so a child must not come from a server with other keys."""
    first, second = work(ABOUT, SOME_KEY="secret")[0], work(ABOUT, SOME_KEY="")[0]
    assert programs == ["fork_server"] * 2 and first["parent"] != second["parent"]
    assert second["environment"]["SOME_KEY"] == ""
    assert not alive(first["parent"])


@pytest.mark.parametrize("lacking", ["safe", "enough_memory"])
def test_without_a_server_the_child_is_started(
    work: Call, programs: list[str], monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    monkeypatch.setattr(forked, lacking, lambda: False)
    assert not work(ABOUT)[0]["preloaded"]
    assert programs == ["child"]


def test_a_machine_with_a_gpu_has_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "GPU_DRIVERS", (str(tmp_path / "driver"),))
    assert forked.safe()
    (tmp_path / "driver").touch()
    assert not forked.safe()


@pytest.mark.parametrize(
    "trouble",
    ["raise ImportError", "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"],
    ids=["imports", "threads"],
)
def test_a_server_that_cannot_fork_is_tried_once(
    work: Call, programs: list[str], tmp_path: Path, trouble: str
) -> None:
    (tmp_path / "preloaded.py").write_text(trouble)
    assert not work(ABOUT)[0]["preloaded"] and not work(ABOUT)[0]["preloaded"]
    assert programs == ["fork_server", "child", "child"]


@pytest.mark.parametrize("other", [{}, {"SOME_KEY": "secret"}], ids=["same environment", "other environment"])
def test_while_a_child_runs_the_server_forks_a_second_one(
    work: Call, programs: list[str], tmp_path: Path, other: dict[str, str]
) -> None:
    """A child that needs another environment is started, because the server must stay for the first child."""
    inner: list[dict[str, Any]] = []
    first: list[dict[str, Any]] = []

    def hear(message: dict[str, Any]) -> None:
        first.append(message)
        inner.extend(work(ABOUT, **other))

    log = tmp_path / "jobs" / "1" / "log.txt"
    do = "send('here', parent=os.getppid())"
    parent.run_worker("made-up", {"do": do}, hear, CancelToken(), log, {})
    assert programs == (["fork_server", "child"] if other else ["fork_server"])
    assert inner[0]["preloaded"] == (not other) and (inner[0]["parent"] == first[0]["parent"]) == (not other)
    assert work(ABOUT)[0]["parent"] == first[0]["parent"] and not forked._children


def test_a_killed_child_leaves_the_other_children_of_the_server_alone(work: Call, tmp_path: Path) -> None:
    pids: list[int] = []

    def hear(message: dict[str, Any]) -> None:
        pids.append(message["pid"])
        with pytest.raises(FaqError, match="killed by the system"):
            work("os.kill(os.getpid(), 9)")

    log = tmp_path / "jobs" / "1" / "log.txt"
    parent.run_worker("made-up", {"do": "send('pid', pid=os.getpid())"}, hear, CancelToken(), log, {})
    assert pids and not forked._children


def test_a_killed_server_takes_its_child_along(work: Call, programs: list[str], tmp_path: Path) -> None:
    """Also a child that no longer reacts, for example to the end of its stdin."""
    pids: list[int] = []
    do = """
        import signal
        send("pid", pid=os.getpid())
        os.kill(os.getppid(), signal.SIGKILL)
        os.close(int(sys.argv[2]))
        os.kill(os.getpid(), signal.SIGSTOP)
    """
    spec, log = {"do": textwrap.dedent(do)}, tmp_path / "jobs" / "1" / "log.txt"
    try:
        with pytest.raises(FaqError, match="killed by the system"):
            parent.run_worker("made-up", spec, lambda message: pids.append(message["pid"]), CancelToken(), log, {})
        assert ended(pids)
    finally:
        for pid in filter(alive, pids):
            os.kill(pid, signal.SIGKILL)
    assert not work(ABOUT)[0]["preloaded"] and programs == ["fork_server", "child"]


def test_a_server_that_dies_while_it_forks_leaves_no_second_child(
    work: Call, programs: list[str], tmp_path: Path
) -> None:
    """The child of the dead server must not read a part of the spec, which the started child waits for."""
    pids = tmp_path / "pids"
    (tmp_path / "preloaded.py").write_text(
        "import os\n"
        "def die(pid):\n"
        f"    open({str(pids)!r}, 'w').write(str(pid))\n"
        "    os.kill(os.getpid(), 9)\n"
        "os.pidfd_open = die\n"
    )
    messages = in_time(lambda: work(ABOUT))
    assert programs == ["fork_server", "child"]
    assert [said["preloaded"] for said in messages] == [False]
    assert ended([int(pids.read_text())])


@pytest.mark.parametrize("safe", [True, False], ids=["forked", "started"])
def test_a_dead_child_is_noticed_although_its_own_child_lives(
    work: Call, monkeypatch: pytest.MonkeyPatch, safe: bool, tmp_path: Path
) -> None:
    """A child of the child keeps the channel open, for example a process of `multiprocessing`."""
    monkeypatch.setattr(forked, "safe", lambda: safe)
    pid_file = tmp_path / "pid"
    do = f"""
        import time
        if os.fork() == 0:
            open({str(pid_file)!r}, "w").write(str(os.getpid()))
            time.sleep(120)
        while not os.path.exists({str(pid_file)!r}) or not os.path.getsize({str(pid_file)!r}):
            time.sleep(0.01)
        send("last")
        os.kill(os.getpid(), 9)
    """
    try:
        with pytest.raises(FaqError, match="killed by the system"):
            in_time(lambda: work(do))
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_a_stop_during_the_imports_ends_the_server(work: Call, programs: list[str]) -> None:
    cancel, began = CancelToken(), time.monotonic()
    cancel.set()
    with pytest.raises(Stopped):
        work(ABOUT, cancel=cancel, IMPORT_S="60")
    assert time.monotonic() - began < 20
    assert work(ABOUT)[0]["preloaded"], "a stop is no reason to do without the server"


@pytest.mark.parametrize("import_s", ["0", "60"])
def test_the_server_and_its_child_end_with_a_killed_parent(task: None, tmp_path: Path, import_s: str) -> None:
    log = tmp_path / "jobs" / "log.txt"
    program = [sys.executable, "-c", textwrap.dedent(KILLED), str(log), import_s]
    with log.parent.parent.joinpath("out").open("wb") as out:  # no pipe: a server that stays would hold it open
        assert subprocess.call(program, stdout=out, stderr=out, timeout=60) == -signal.SIGKILL
    pids = [int(line) for line in log.read_text().splitlines() if line.isdigit()]
    assert len(pids) == (2 if import_s == "0" else 1)
    assert ended(pids)


@pytest.mark.slow
def test_the_second_worker_does_not_import_torch(task: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen
    code = (
        "from faq_tui.core.worker import child, fork_server\n"
        "child.TASKS['made-up'] = 'made_up_task:run'\n"
        "fork_server.main()\n"
    )
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **more: real([command[0], "-c", code, *command[3:]], **more)
    )
    for name, value in {
        "safe": lambda: True,
        "enough_memory": lambda: True,
        "_failed": False,
        "_server": None,
    }.items():
        monkeypatch.setattr(forked, name, value)
    do = "here = {name for name in ('torch', 'transformers') if name in sys.modules}\n"
    do += "send('about', imported=sorted(here), parent=os.getppid(), cpu=time.process_time())"
    found: list[dict[str, Any]] = []
    try:
        for _ in range(2):
            spec = {"do": f"import time\n{do}"}
            parent.run_worker("made-up", spec, found.append, CancelToken(), tmp_path / "jobs" / "log.txt")
    finally:
        forked.end_server()
    assert found[0]["parent"] == found[1]["parent"]
    assert found[1]["imported"] == ["torch", "transformers"]
    assert "Enum" not in (tmp_path / "jobs" / "log.txt").read_text(), "a message between torch and torchao"
    assert found[1]["cpu"] < 1  # in seconds; a process that imports torch needs more


def in_time(work: Callable[[], Any]) -> Any:
    """The result of `work`. A `work` that hangs fails the test, and does not keep the tests from ending."""
    results: SimpleQueue[Any] = SimpleQueue()

    def put() -> None:
        try:
            results.put(work())
        except Exception as error:  # noqa: BLE001  raised again on the other thread
            results.put(error)

    threading.Thread(target=put, daemon=True).start()
    result = results.get(timeout=LIMIT_S)
    if isinstance(result, Exception):
        raise result
    return result


def ended(pids: list[int]) -> bool:
    """True as soon as all of these processes have ended, False if one is alive after ten seconds."""
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


def alive(pid: int) -> bool:
    """Running: neither gone nor a zombie that nobody reaps here."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
