"""Files arrive as they were sent, once for each machine, and only inside their folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.cluster import parcels
from faq_tui.core.cluster.parcels import delivered, listing, own_root, pack, pieces, unpack


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "PIECE", 4)


def _folder(path: Path) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "config.json").write_bytes(b"{}")
    (path / "empty").touch()
    (path / "inner" / "weights").write_bytes(bytes(range(10)))
    return path


def test_a_folder_and_a_file_arrive_whole(tmp_path: Path) -> None:
    source = _folder(tmp_path / "source")
    unpack(tmp_path / "copy", listing(source), pieces(source, listing(source)))
    assert (tmp_path / "copy" / "inner" / "weights").read_bytes() == bytes(range(10))
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"config.json", "empty", "inner"}
    file = source / "inner" / "weights"
    unpack(tmp_path / "one", listing(file), pieces(file, listing(file)))
    assert (tmp_path / "one").read_bytes() == bytes(range(10))


def test_what_is_cut_off_or_leads_outside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaqError, match="did not arrive whole"):
        unpack(tmp_path / "copy", [("a", 10)], [b"1234"])
    for name in ("../outside", "/etc/outside", "a/../../outside"):
        with pytest.raises(FaqError, match="nothing was stored"):
            unpack(tmp_path / "copy", [(name, 1)], [b"1"])


def test_a_machine_fetches_a_parcel_once_until_it_changes(tmp_path: Path) -> None:
    source, store = _folder(tmp_path / "source"), list[bytes]()
    fetched: list[int] = []

    def put(piece: bytes) -> int:
        store.append(piece)
        return len(store) - 1

    def get(number: int) -> bytes:
        fetched.append(number)
        return store[number]

    for _ in range(2):
        place = delivered(pack(source, put), get, tmp_path / "root")
        assert place.name == "source" and (place / "inner" / "weights").read_bytes() == bytes(range(10))
    assert len(fetched) == 4
    (source / "config.json").write_bytes(b"[]")
    os.utime(source / "config.json", ns=(1, 1))
    assert (delivered(pack(source, put), get, tmp_path / "root") / "config.json").read_bytes() == b"[]"


def test_files_of_a_run_are_kept_from_other_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    root = own_root("/runs/a")
    assert root != own_root("/runs/b") and root == own_root("/runs/a")
    assert root.parent.stat().st_mode & 0o777 == 0o700
    root.parent.chmod(0o777)
    with pytest.raises(FaqError, match="can be changed by other users"):
        own_root("/runs/a")
