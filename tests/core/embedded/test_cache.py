"""A cache that cannot be written is explained, and a killed fetch leaves no lock."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.embedded import ensure_gguf
from faq_tui.core.embedded.cache import in_words, locked, scratch


def test_a_cache_that_cannot_be_written_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FAQ_TUI_CACHE", str(tmp_path / "file"))
    with pytest.raises(FaqError, match="FAQ_TUI_CACHE"):
        ensure_gguf(print)
    assert "disk is full" in in_words(OSError(errno.ENOSPC, "No space left on device"), tmp_path)


def test_a_killed_fetch_leaves_no_lock_and_nothing_that_counts(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from faq_tui.core.embedded.cache import locked, scratch\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with locked(folder, print), scratch(folder) as unfinished:\n"
        "    (unfinished / 'half').write_text('half')\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        said: list[str] = []

        def say(line: str) -> None:  # called when the lock is found taken: now its holder may die
            said.append(line)
            os.kill(holder.pid, signal.SIGKILL)

        try:
            with locked(tmp_path, say), scratch(tmp_path) as unfinished:
                assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [unfinished.name]
        finally:
            holder.kill()
    assert "waits" in said[0]
