"""Identify a process by pid and start time, signal it, and lower its priority."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from faq_tui.core.base.errors import FaqError

NICENESS = 10  # a tenth of the weight: the screen and other users of the machine come first
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process_identity(pid: int) -> str | None:
    """The id of the machine's boot and the clock tick at which the process began; None if it has ended.

    A pid can be reused later; this identity cannot.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name before it may contain any characters
    if fields[0] in (b"Z", b"X"):
        return None  # a zombie: it has ended, but its parent has not waited for it
    return f"{_boot()}:{int(fields[19])}"  # field 22 of proc(5)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def send_signal(pid: int, began: str, number: signal.Signals) -> bool:
    """Signal the process with this pid and identity; False if it has ended. Raises FaqError if we may not."""
    try:
        held = os.pidfd_open(pid)  # from here on, the pid cannot refer to another process
    except OSError:
        held = -1  # it ended, or the kernel has no pidfds: then the pid could be reused in between
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
    """Lower the scheduling priority of this process and its session. Without competition this has no effect.

    If Linux groups by session (sched(7), autogroup), a process's niceness counts only within its session. So the
    niceness of the group is set, too.
    """
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
