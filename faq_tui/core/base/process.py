"""Identify a process by pid and start time, signal it, and lower its priority."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from faq_tui.core.base.errors import FaqError

NICENESS = 10  # with this niceness, a process gets a tenth of the normal CPU time
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
