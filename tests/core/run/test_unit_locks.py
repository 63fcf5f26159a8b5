"""Several processes work on different units of a run; a job and a unit exclude each other."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.run import unit_locks
from faq_tui.core.run.run import lock_owner, locked_folder
from faq_tui.core.run.unit_locks import holders, taking_turns, working_on

HOLD = """
import sys
from pathlib import Path
from faq_tui.core.run.unit_locks import working_on
with working_on(Path(sys.argv[1]), sys.argv[2], RuntimeError):
    print("held", flush=True)
    sys.stdin.read()
"""
JOB = """
import sys
from pathlib import Path
from faq_tui.core.run.run import locked_folder
with locked_folder(Path(sys.argv[1]), "job"):
    print("held", flush=True)
    sys.stdin.read()
"""


def _busy() -> FaqError:
    return FaqError("a job is working on the run")


@contextmanager
def _other_process(program: str, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, str(folder), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(10)


def test_two_units_at_once_but_not_the_same_unit_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_locks, "TESTED_S", 0.1)
    with _other_process(HOLD, tmp_path, "quantize/a b") as other:
        with working_on(tmp_path, "quantize/c", _busy):
            assert sorted(holders(tmp_path)) == ["quantize/a b", "quantize/c"]
        with (
            pytest.raises(FaqError, match=rf"working on quantize/a b \(by process {other.pid}\)"),
            working_on(tmp_path, "quantize/a b", _busy),
        ):
            pass
    assert holders(tmp_path) == {}
    with working_on(tmp_path, "quantize/a b", _busy):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with _other_process(HOLD, tmp_path, "quantize/a") as other:
        other.send_signal(signal.SIGKILL)
        other.wait(10)
        assert holders(tmp_path) == {}
        with locked_folder(tmp_path):
            pass


def test_no_job_beside_a_unit(tmp_path: Path) -> None:
    with _other_process(HOLD, tmp_path, "evaluate/x") as other:
        assert lock_owner(tmp_path) is None
        with (
            pytest.raises(FaqError, match=rf"working on units of .*: evaluate/x \(by process {other.pid}\): wait"),
            locked_folder(tmp_path),
        ):
            pass


def test_no_unit_beside_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_locks, "TESTED_S", 0.1)
    with (
        _other_process(JOB, tmp_path),
        pytest.raises(FaqError, match="a job is working on the run"),
        working_on(tmp_path, "evaluate/x", _busy),
    ):
        pass


def test_an_error_names_some_units_and_counts_the_others(tmp_path: Path) -> None:
    found = {f"quantize/{n}": unit_locks.Holder(f"quantize/{n}", "box2", n) for n in range(5, 10)}
    sentence = str(unit_locks.units_in_use(tmp_path, found))
    assert "quantize/5 (by process 5 on box2)" in sentence and "quantize/7" in sentence and "and 2 more" in sentence
    assert "quantize/8" not in sentence


def test_a_turn_can_be_stopped_while_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_locks, "WAIT_S", 0.01)
    cancel = CancelToken()
    with taking_turns(tmp_path, "weights-1", CancelToken()):
        with taking_turns(tmp_path, "weights-2", CancelToken()):
            pass
        cancel.set()
        with pytest.raises(Stopped), taking_turns(tmp_path, "weights-1", cancel):
            pass
