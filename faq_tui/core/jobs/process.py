"""Which process a number means: pids are used again, the moment a process began is not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from faq_tui.core.errors import FaqError

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def identity(pid: int) -> str | None:
    """The machine's boot and the clock tick in it at which the process began; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name before it may hold anything
    if fields[0] in (b"Z", b"X"):
        return None  # ended; nobody has waited for it yet
    return f"{_boot()}:{int(fields[19])}"  # field 22 of proc(5)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def send(pid: int, began: str, number: signal.Signals) -> bool:
    """Signal exactly the process that `began` so; False if it has ended. Raises FaqError if we may not."""
    try:
        held = os.pidfd_open(pid)  # from here on the number cannot come to mean another
    except OSError:
        held = -1  # ended, or a kernel without them: then there is a moment in which it could
    try:
        if identity(pid) != began:
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
