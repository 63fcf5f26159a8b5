"""The free memory of this machine, and the return of freed memory to the system.

The free memory is within the limits of the control groups (cgroups) that contain this process.

Containers and batch systems such as Slurm limit memory with control groups. The kernel ends a process that needs
more, although the machine itself has free memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# For each version of the control groups: the file with the limit, the file with the memory in use, and the key of the
# file pages that the kernel can reclaim.
LIMITS = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_host_bytes(root: Path = Path("/")) -> int | None:
    """Memory in bytes that this process can still use; None if the system does not report it.

    For each control group with a limit, compute how much memory the limit leaves. The result is the smallest of these
    amounts and of the machine's available memory. `root` is the directory that contains `proc` and `sys`.
    """
    kibibytes = _value(root / "proc/meminfo", "MemAvailable:")
    known = [] if kibibytes is None else [kibibytes * 1024]
    for folder, version in _groups(root):
        limit_file, use_file, reclaimable = LIMITS[version]
        limit, use = _number(folder / limit_file), _number(folder / use_file)
        if limit is not None and use is not None:
            files = _value(folder / "memory.stat", reclaimable) or 0
            known.append(max(0, limit - max(0, use - files)))
    return min(known, default=None)


def _groups(root: Path) -> Iterator[tuple[Path, int]]:
    """The folders of the control groups of this process and of their ancestors, with their version.

    In a container, /proc/self/cgroup may name a path of the host that does not exist in the container. In this case,
    the mounted folder is the group of the container.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounts, version = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], 2
        elif "memory" in controllers.split(","):
            mounts, version = ["sys/fs/cgroup/memory"], 1
        else:
            continue
        for mount in mounts:
            top = root / mount
            folder = top / path.strip("/")
            while folder != top and top in folder.parents and ".." not in folder.parts:
                yield folder, version
                folder = folder.parent
            yield top, version


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """The number in a file; None if the file has no number. The text `max` means that there is no limit."""
    text = _text(path).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _value(path: Path, key: str) -> int | None:
    """The number after the key `key` in a file of lines `key number`; None if there is no such line."""
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == key and words[1].isdigit():
            return int(words[1])
    return None


def return_freed_memory() -> None:
    """Return freed memory to the system if the C library is glibc.

    Without this call, glibc keeps freed blocks of up to 32 MiB for later use. Most matrices of a small model are
    smaller than 32 MiB, so the process would slowly grow to the size of the model.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
