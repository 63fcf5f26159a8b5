"""Identify a process by pid and start time, signal it, and lower its priority."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from faq_tui.core.base.errors import FaqError

NICENESS = 10  # with this niceness, a process gets a tenth of the normal CPU time
MOST_SWEEPS = 50
_PR_SET_PDEATHSIG = 1
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process_identity(pid: int) -> str | None:
    """The boot id of the machine and the clock tick at which the process began.

    Returns None if the process has ended.

    Linux may give the pid to another process later. Two processes never have the same identity.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the process name can contain any character, even ")"
    if fields[0] in (b"Z", b"X"):
        return None  # a zombie: the process has ended, but its parent has not waited for it
    return f"{_boot()}:{int(fields[19])}"  # the start time, which is field 22 in the manual proc(5)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def send_signal(pid: int, began: str, number: signal.Signals) -> bool:
    """Send a signal to the process with this pid and identity. Returns False if the process has ended.

    Raises FaqError if the process belongs to another user.
    """
    try:
        held = os.pidfd_open(pid)  # while this descriptor is open, no other process can get the pid
    except OSError:
        # The process has ended, or this version of Linux has no pidfds. Without a pidfd, the signal could reach
        # another process that got the pid in the meantime.
        held = -1
    try:
        if process_identity(pid) != began:
            return False
        if held >= 0:
            signal.pidfd_send_signal(held, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise FaqError(f"process {pid} belongs to another user: ask them to stop it") from None
    finally:
        if held >= 0:
            os.close(held)
    return True


def die_with_parent() -> None:
    """Let Linux kill this process when the thread that started it ends. Call this function in a new child process."""
    with suppress(OSError, AttributeError):  # another C library has no prctl
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_marked(name: str, value: str) -> None:
    """Kill all other processes whose environment has the variable `name` with this value.

    A process inherits the environment of the process that started it. So this function also finds the processes that
    have left the session of a program.
    """
    for _ in range(MOST_SWEEPS):  # a process may start another one just before it is killed
        found = [pid for pid in _marked(f"{name}={value}".encode()) if pid != os.getpid()]
        if not found:
            return
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _marked(entry: bytes) -> Iterator[int]:
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with suppress(OSError):  # the process has ended, or it belongs to another user
                if entry in (place / "environ").read_bytes().split(b"\0"):
                    yield int(place.name)


def lower_priority() -> None:
    """Lower the scheduling priority of this process and its session.

    The process becomes slower only if other processes need the CPU.

    Linux can group processes by session (autogroup in sched(7)). If it does, the niceness of a process has an effect
    only within its own session, so the function also sets the niceness of the session.
    """
    with suppress(OSError):
        os.nice(NICENESS)
    lower_session_priority()


def lower_session_priority() -> None:
    """Lower the scheduling priority of this process's session, if Linux groups processes by session."""
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
