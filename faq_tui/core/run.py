"""A run: one folder with settings, database and artefacts. Everything about one target model."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.errors import FaqError, UsageError
from faq_tui.core.settings import Settings, load_settings
from faq_tui.core.store import Store


@dataclass(frozen=True)
class Run:
    """The folder, its settings and its open database."""

    folder: Path
    settings: Settings
    store: Store

    @property
    def calibration(self) -> Path:
        return self.folder / "calibration"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"

    @property
    def cache(self) -> Path:
        """What can be computed again: safe to delete."""
        return self.folder / ".cache"

    def log(self, job: str) -> Path:
        return self.jobs / job / "log.txt"

    def resolve(self, path: str) -> Path:
        """A path in `faq.toml` is relative to the run's folder."""
        return (self.folder / Path(path).expanduser()).resolve()


@contextmanager
def open_run(folder: Path) -> Iterator[Run]:
    """The run in `folder`. Raises UsageError if there is none."""
    if not folder.is_dir():
        raise UsageError(f"no run folder at {folder}: make one with `faq-tui init {folder} --target M --seeds FILE`")
    folder = folder.resolve()
    settings = load_settings(folder / "faq.toml")
    store = Store(folder / "faq.db")
    try:
        yield Run(folder, settings, store)
    finally:
        store.close()


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the run for writing. The kernel frees the lock with its process, however that ends."""
    fd = os.open(run.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 32).decode() or "unknown"
            raise FaqError(
                f"another faq-tui (process {owner}) is working on {run.folder}: "
                "wait for it, or stop it with Ctrl-C there"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)
