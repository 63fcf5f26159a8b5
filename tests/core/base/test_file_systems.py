"""The file system of a folder is the one with the longest mount point around it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from faq_tui.core.base.file_systems import is_shared, type_of


def _mounted(monkeypatch: pytest.MonkeyPatch, *parts: tuple[str, str]) -> None:
    def partitions(**_: Any) -> list[SimpleNamespace]:
        return [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in parts]

    monkeypatch.setattr(psutil, "disk_partitions", partitions)


def test_the_innermost_and_newest_mount_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    _mounted(
        monkeypatch, ("/", "ext4"), ("/nowhere", "xfs"), ("/nowhere/team", "NFS4"), ("/nowhere/team/fast", "xfs")
    )
    assert type_of(Path("/nowhere/team/run")) == "nfs4"
    assert is_shared(Path("/nowhere/team/run")) and not is_shared(Path("/nowhere/teams/run"))
    assert not is_shared(Path("/nowhere/team/fast/run")) and not is_shared(Path("/elsewhere"))
    _mounted(monkeypatch, ("/", "ext4"), ("/nowhere", "ext4"), ("/nowhere", "lustre"))
    assert is_shared(Path("/nowhere"))
    _mounted(monkeypatch)
    assert type_of(Path("/nowhere")) == "" and not is_shared(Path("/nowhere"))


def test_this_machine_reports_its_file_systems(tmp_path: Path) -> None:
    assert type_of(tmp_path)
