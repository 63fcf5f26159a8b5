"""Run an external program that must end with faq-tui: `python -m faq_tui.core.benchmarking.guard COMMAND…`.

The program itself does not notice when faq-tui ends. The guard notices it, because the end of faq-tui closes the
guard's stdin. The guard ends the program and all processes that the program started. The guard first sends SIGTERM to
these processes, and SIGKILL a few seconds later. The guard also ends the program if the guard itself gets SIGTERM.

If the guard is killed, the operating system kills the program, and faq-tui kills the processes that the program has
started. They are found by a mark in their environment, even if they have left the program's session.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from faq_tui.core.base.files import private_folder
from faq_tui.core.base.process import die_with_parent, kill_marked
from faq_tui.core.worker.kept import end_kept

Guard = subprocess.Popen[bytes]

GRACE_S = 5.0  # seconds between SIGTERM and SIGKILL
MARK = "FAQ_TUI_GUARDED"  # an environment variable that the program and its processes inherit
NOT_FOUND = 127  # exit code for a missing program, as in a shell


@contextmanager
def guarded(
    command: Sequence[str], log: Path, env: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` under a guard until the end of the block. The output of `command` is appended to `log`.

    Waiting workers of this process end first, because the program may need all memory of the GPU.
    """
    end_kept()
    mark = secrets.token_hex(16)
    private_folder(log.parent)
    with log.open("ab") as output:
        guard = subprocess.Popen(
            [sys.executable, "-m", "faq_tui.core.benchmarking.guard", *command],
            stdin=subprocess.PIPE,  # when faq-tui ends, this pipe is closed, and the guard notices it
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal must not reach the program
            cwd=folder,
            env={**os.environ, **env, MARK: mark},
        )
    try:
        yield guard
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        try:
            guard.wait(3 * GRACE_S)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
        kill_marked(MARK, mark)


def main() -> None:
    try:
        program = subprocess.Popen(
            sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent
        )
    except OSError as error:
        print(f"{sys.argv[1]}: {error.strerror}", file=sys.stderr)
        sys.exit(NOT_FOUND)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def watch_lifeline() -> None:
        while os.read(0, 4096):
            pass
        stopping.set()

    threading.Thread(target=watch_lifeline, daemon=True, name="lifeline").start()
    while program.poll() is None:
        if stopping.wait(0.2):
            _end(program)
    _signal(program.pid, signal.SIGKILL)  # end the processes that the program left behind
    if mark := os.environ.get(MARK):
        kill_marked(MARK, mark)
    os._exit(program.returncode if program.returncode >= 0 else 128 - program.returncode)


def _end(program: Guard) -> None:
    _signal(program.pid, signal.SIGTERM)
    try:
        program.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _signal(program.pid, signal.SIGKILL)
        program.wait()


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # all processes of the group have ended


if __name__ == "__main__":
    main()
