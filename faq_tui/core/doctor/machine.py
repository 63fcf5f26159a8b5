"""Checks of this machine: Python, compiler, libpcre2, packages, GPU, memory, disk, model cache, terminal."""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.text import counted
from faq_tui.core.doctor.inputs import Check
from faq_tui.core.extensions import points
from faq_tui.core.models.devices import free_bytes

GIB = 1 << 30
LOW_DISK_GIB, LOW_MEMORY_GIB = 5, 4


def machine_checks(folder: Path) -> list[Check]:
    """All checks of the machine. `folder` is the folder for runs.

    One check is about the free space on the disk of this folder.
    """
    checks: list[Callable[[], Check]] = [
        _python,
        _compiler,
        _pcre,
        lambda: _package("torch", "pip install torch"),
        lambda: _package("transformers", "pip install transformers"),
        lambda: _package("gptqmodel", "pip install gptqmodel (this needs a C compiler and libpcre2)"),
        lambda: _package("xllamacpp", "pip install 'faq-tui[embedded]': `faq-tui demo` needs it", needed=False),
        _gpu,
        _memory,
        lambda: _disk(folder),
        _cache,
        _terminal,
    ]
    return [check() for check in checks] + extension_checks()


def extension_checks() -> list[Check]:
    """One check for each extension from another package.

    Without this check, a run could stop in the middle because of a broken extension.
    """
    checks = []
    for registry in points.ALL:
        try:
            names = registry.outside()
        except FaqError as error:
            checks.append(Check(registry.kind, "failed", "two packages use the same name", str(error)))
            continue
        for name in names:
            try:
                checks.append(Check(registry.kind, "ok", f"{name}: {registry.get(name).title}, from another package"))
            except FaqError as error:
                checks.append(Check(registry.kind, "failed", name, str(error)))
    return checks


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} at {sys.prefix}")


def _compiler() -> Check:
    path = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if path:
        return Check("C compiler", "ok", path)
    return Check("C compiler", "warning", "none", "install gcc: gptqmodel needs pypcre, which is built from source")


def _pcre() -> Check:
    library = ctypes.util.find_library("pcre2-8")
    if library:
        return Check("libpcre2", "ok", library)
    return Check("libpcre2", "warning", "not found", "install libpcre2-8-0 (Debian) or pcre2 (Fedora, Homebrew)")


def _package(name: str, advice: str, needed: bool = True) -> Check:
    try:
        return Check(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name, "failed" if needed else "warning", "not installed", advice)


def _gpu() -> Check:
    """Check which GPUs this machine has.

    NVIDIA's own library lists the GPUs, so torch need not be loaded. This library is part of every NVIDIA driver.
    """
    name = ctypes.util.find_library("nvidia-ml")
    if name is None:
        return Check("GPU", "ok", "none; the CPU is fast enough for models of up to about 1B parameters")
    library = ctypes.CDLL(name)
    if library.nvmlInit_v2() != 0:
        return Check("GPU", "warning", "the NVIDIA driver does not start", "run nvidia-smi to see why")
    version, count = ctypes.create_string_buffer(80), ctypes.c_uint()
    library.nvmlSystemGetDriverVersion(version, 80)
    library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    names = []
    for index in range(count.value):
        handle, text = ctypes.c_void_p(), ctypes.create_string_buffer(96)
        library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
        library.nvmlDeviceGetName(handle, text, 96)
        names.append(text.value.decode(errors="replace"))
    return Check("GPU", "ok", f"{', '.join(names) or 'none'}; driver {version.value.decode(errors='replace')}")


def _memory() -> Check:
    free = free_bytes("cpu")
    if free is None:
        return Check("memory", "ok", "this system does not report its free memory")
    state = f"{free / GIB:.1f} GiB free, {counted(os.cpu_count() or 1, 'core')}"
    if free < LOW_MEMORY_GIB * GIB:
        return Check("memory", "warning", state, "the demo needs about 4 GiB: close other programs")
    return Check("memory", "ok", state)


def _disk(folder: Path) -> Check:
    existing = next(p for p in [folder.absolute(), *folder.absolute().parents] if p.exists())
    free = shutil.disk_usage(existing).free / GIB
    if free < LOW_DISK_GIB:
        advice = "free some space: a quantized 8B model takes about 6 GB"
        return Check("disk", "warning", f"{free:.1f} GiB free at {existing}", advice)
    return Check("disk", "ok", f"{free:.0f} GiB free at {existing}")


def _cache() -> Check:
    from faq_tui.core.embedded import cached_model

    model = cached_model()
    if model is None:
        return Check("embedded model", "ok", "not downloaded yet: `faq-tui demo` downloads 93 MB from PyPI once")
    return Check("embedded model", "ok", str(model.folder))


def _terminal() -> Check:
    colours = os.environ.get("COLORTERM") or os.environ.get("TERM") or "none"
    size = shutil.get_terminal_size()
    return Check("terminal", "ok", f"{size.columns}×{size.lines}, colours: {colours}")
