"""What tests/conftest.py promises: how many processes, in which order, and that expensive folders are made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PROBE = """
import os
import pytest

@pytest.mark.parametrize("number", range(3))
def test_probe(make_once, number):
    def make(folder):
        with open(os.environ["MADE"], "a") as file:
            file.write("made\\n")
        (folder / "part").write_text("whole")

    assert (make_once("shared", make) / "part").read_text() == "whole"
"""
CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite of three files under our conftest.py; each has three tests that need the same folder."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    (pytester.path / "slow.txt").write_text("", encoding="utf-8")
    pytester.makepyfile(test_a=PROBE, test_b=PROBE, test_slow=f"{PROBE}\npytestmark = pytest.mark.slow\n")
    pytester.makeini("[pytest]\nmarkers = slow\n")
    monkeypatch.setenv("MADE", str(pytester.path / "made.txt"))
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # half of the time goes into plugins not needed here
    return pytester


def test_several_processes_make_a_folder_once(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-n", "2", "--dist", "loadfile", "-p", "xdist.plugin", "-v")
    result.assert_outcomes(passed=9)
    assert {worker for worker in ("gw0", "gw1") if worker in result.stdout.str()} == {"gw0", "gw1"}
    assert (suite.path / "made.txt").read_text() == "made\n"


def test_files_with_slow_tests_come_first_and_those_in_e2e_before_all(suite: pytest.Pytester) -> None:
    (suite.mkdir("e2e") / "test_z.py").write_text(f"{PROBE}\npytestmark = pytest.mark.slow\n", encoding="utf-8")
    (suite.path / "e2e" / "test_fast.py").write_text(PROBE, encoding="utf-8")
    result = suite.runpytest_subprocess("-n", "0", "-p", "xdist.plugin", "-v")
    result.assert_outcomes(passed=15)
    order = [line.partition("::")[0] for line in result.outlines if "::test_probe" in line]
    expected = ["e2e/test_z.py", "test_slow.py", "e2e/test_fast.py", "test_a.py", "test_b.py"]
    assert order[::3] == expected and order == [name for name in expected for _ in range(3)]


def test_the_fast_lane_leaves_out_what_is_slow(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_server="def test_needs_a_server(embedded_server): pass\ndef test_needs_nothing(): pass\n")
    result = suite.runpytest_subprocess("-n", "0", "-p", "xdist.plugin", "-m", "not slow")
    result.assert_outcomes(passed=7, deselected=4)


@pytest.mark.parametrize(
    ("files", "processes"), [((), 3), (("test_a.py",), 0), (("test_a.py", "test_b.py::test_probe"), 2)]
)
def test_one_file_needs_no_processes(suite: pytest.Pytester, files: tuple[str, ...], processes: int) -> None:
    suite.makeconftest(f"{CONFTEST.read_text(encoding='utf-8')}\nos.cpu_count = lambda: 2\n")
    result = suite.runpytest_subprocess("-n", "auto", "-p", "xdist.plugin", *files)
    assert (f"created: {processes}/{processes} workers" in result.stdout.str()) == (processes > 0)


def test_a_folder_whose_making_failed_is_made_again(make_once: Callable[[str, Callable[[Path], None]], Path]) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        make_once("made-again", fail)
    assert list(make_once("made-again", lambda folder: None).iterdir()) == []
